"""Slice heads, which classify a slice from ranked RoIs or pooled features."""

from .affinity_cls_head import AffinityClsHead, slice_classifier
from .base_slice_head import BaseSliceHead, SliceLoss
from .pooled_cls_head import PooledClsHead
from .roi_evidence import RoIEvidence, roi_evidence
from .single_shot_cls_head import SingleShotClsHead

__all__ = [
    'AffinityClsHead',
    'BaseSliceHead',
    'PooledClsHead',
    'RoIEvidence',
    'SingleShotClsHead',
    'SliceLoss',
    'roi_evidence',
    'slice_classifier',
]
