"""Scores of a run: ``functional`` is plain NumPy, ``metrics`` registers it for MMEngine's evaluator."""
from .metrics import ImageAveragePrecision, LesionCocoMetric, SliceClassificationMetric

__all__ = ['ImageAveragePrecision', 'LesionCocoMetric', 'SliceClassificationMetric']
