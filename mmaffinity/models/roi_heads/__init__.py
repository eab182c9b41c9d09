"""RoI heads with two branches."""

from .affinity_roi_head import AffinityRoIHead
from .classification_branch import ClassificationBranch
from .mask_heads import LesionMaskHead, MaskFeatureHead, PooledMaskFeatureHead

__all__ = ['AffinityRoIHead', 'ClassificationBranch', 'LesionMaskHead', 'MaskFeatureHead', 'PooledMaskFeatureHead']
