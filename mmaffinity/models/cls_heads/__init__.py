"""Slice heads, which classify a slice from ranked RoIs or pooled features."""

from .affinity_cls_head import AffinityClsHead
from .base_slice_head import BaseClsHead, BaseSliceHead, fc_layers
from .pooled_cls_head import PooledClsHead
from .roi_evidence import RoIEvidence, roi_evidence
from .single_shot_cls_head import SingleShotClsHead

__all__ = [
    'AffinityClsHead',
    'BaseClsHead',
    'BaseSliceHead',
    'PooledClsHead',
    'RoIEvidence',
    'SingleShotClsHead',
    'fc_layers',
    'roi_evidence',
]
