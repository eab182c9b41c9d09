"""Metrics on NumPy arrays and COCO run lengths, without torch or MMDetection."""

from .average_precision import IOU_THRESHOLDS, image_average_precision, summarize_average_precision
from .classification import (
    ClassificationReport,
    classification_report,
    confusion_matrix,
    format_confusion_matrix,
    format_report,
)
from .mask_overlap import mask_iou

__all__ = [
    'IOU_THRESHOLDS',
    'ClassificationReport',
    'classification_report',
    'confusion_matrix',
    'format_confusion_matrix',
    'format_report',
    'image_average_precision',
    'mask_iou',
    'summarize_average_precision',
]
