"""Comparison of finished runs: tables with intervals, differences, calibration."""

from .build import build_report
from .content import Report
from .external import load_external
from .loading import load_runs
from .runs import LesionRun, SliceRun

__all__ = ['LesionRun', 'Report', 'SliceRun', 'build_report', 'load_external', 'load_runs']
