"""Scores of a run: ``functional`` is plain NumPy, ``metrics`` registers it for MMEngine's evaluator."""

from typing import TYPE_CHECKING

from mmaffinity.utils.lazy import lazy_names

if TYPE_CHECKING:
    from .metrics import ImageAveragePrecision, LesionCocoMetric, SliceClassificationMetric

__all__ = ['ImageAveragePrecision', 'LesionCocoMetric', 'SliceClassificationMetric']

# Reading scans needs only the functions, not MMDetection.
__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, 'metrics'))
