"""Evaluation: ``functional`` is plain NumPy, ``metrics`` registers it for MMEngine's evaluator, ``report`` compares runs."""

from typing import TYPE_CHECKING

from mmaffinity.utils.lazy import lazy_names

if TYPE_CHECKING:
    from .metrics import ImageAveragePrecision, LesionCocoMetric, SliceClassificationMetric

__all__ = ['ImageAveragePrecision', 'LesionCocoMetric', 'SliceClassificationMetric']

# Imported on first use, because the functions and the report do not need MMDetection.
__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, 'metrics'))
