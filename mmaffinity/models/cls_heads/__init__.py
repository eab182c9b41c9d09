"""Slice heads: from ranked RoIs to the class of the slice."""
from .affinity_cls_head import AffinityClsHead, slice_classifier
from .base_slice_head import BaseSliceHead

__all__ = ['AffinityClsHead', 'BaseSliceHead', 'slice_classifier']
