"""Comparison of finished runs: tables with intervals, differences, calibration."""

from .build import Report, build_report
from .external import load_external
from .runs import LesionRun, SliceRun, load_runs

__all__ = ['LesionRun', 'Report', 'SliceRun', 'build_report', 'load_external', 'load_runs']
