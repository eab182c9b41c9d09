"""Faster, equivalent versions of other modules. Configs select them by type, and tests check that results agree."""

from .fast_affinity_cls_head import FastAffinityClsHead
from .fast_affinity_roi_head import FastAffinityRoIHead
from .fast_mask_heads import FastLesionMaskHead, FastMaskFeatureHead
from .grey_resnet import GreyResNet
from .lesion_bbox_head import LesionBBoxHead
from .roi_extractors import SingleLevelRoIExtractor, SparseRoIAlign

__all__ = [
    'FastAffinityClsHead',
    'FastAffinityRoIHead',
    'FastLesionMaskHead',
    'FastMaskFeatureHead',
    'GreyResNet',
    'LesionBBoxHead',
    'SingleLevelRoIExtractor',
    'SparseRoIAlign',
]
