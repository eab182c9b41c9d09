"""Metrics for MMEngine's evaluator; each ignores the samples of the other task."""
from .image_average_precision import ImageAveragePrecision
from .lesion_coco_metric import LesionCocoMetric
from .slice_classification_metric import SliceClassificationMetric

__all__ = ['ImageAveragePrecision', 'LesionCocoMetric', 'SliceClassificationMetric']
