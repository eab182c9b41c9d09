"""Non-maximum suppression and RoIAlign in plain torch, which replace mmcv's compiled operations."""

from .compiled import is_compiled, load_compiled
from .nms import SUPPRESSIONS, batched_nms, nms
from .roi_align import RoIAlign, roi_align
from .sparse_roi_align import sparse_roi_align
from .stand_in import import_mmdet, operations_in_torch

__all__ = [
    'SUPPRESSIONS',
    'RoIAlign',
    'batched_nms',
    'import_mmdet',
    'is_compiled',
    'load_compiled',
    'nms',
    'operations_in_torch',
    'roi_align',
    'sparse_roi_align',
]
