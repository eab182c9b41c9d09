"""RoI heads with two branches."""

from .affinity_roi_head import AffinityMaskScoringRoIHead, AffinityRoIHead
from .classification_branch import ClassificationBranch
from .mask_heads import LesionMaskHead, MaskFeatureHead, PooledMaskFeatureHead

__all__ = [
    'AffinityMaskScoringRoIHead',
    'AffinityRoIHead',
    'ClassificationBranch',
    'LesionMaskHead',
    'MaskFeatureHead',
    'PooledMaskFeatureHead',
]
