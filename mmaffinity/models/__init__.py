"""The affinity model and what it is built from."""
from .cls_heads import AffinityClsHead, BaseSliceHead
from .data_preprocessors import SliceDataPreprocessor
from .dense_heads import LogitRankedRPNHead
from .detectors import AffinityRCNN
from .roi_heads import AffinityRoIHead, ClassificationBranch, LesionMaskHead, MaskFeatureHead
from .task_modules import RoundedAnchorGenerator, TopRoISelector

__all__ = ['AffinityClsHead', 'AffinityRCNN', 'AffinityRoIHead', 'BaseSliceHead', 'ClassificationBranch', 'LesionMaskHead',
           'LogitRankedRPNHead', 'MaskFeatureHead', 'RoundedAnchorGenerator', 'SliceDataPreprocessor', 'TopRoISelector']
