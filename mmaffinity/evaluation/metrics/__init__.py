"""Metrics for MMEngine's evaluator; each ignores samples of the other task."""

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .image_average_precision import ImageAveragePrecision
from .lesion_coco_metric import LesionCocoMetric
from .slice_classification_metric import SliceClassificationMetric

__all__ = ['ImageAveragePrecision', 'LesionCocoMetric', 'SliceClassificationMetric']
