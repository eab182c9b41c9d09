"""RoI heads with two branches."""
from .affinity_roi_head import AffinityRoIHead
from .classification_branch import ClassificationBranch
from .lesion_bbox_head import LesionBBoxHead
from .mask_heads import LesionMaskHead, MaskFeatureHead
from .roi_extractors import SingleLevelRoIExtractor, SparseRoIAlign

__all__ = ['AffinityRoIHead', 'ClassificationBranch', 'LesionBBoxHead', 'LesionMaskHead', 'MaskFeatureHead',
           'SingleLevelRoIExtractor', 'SparseRoIAlign']
