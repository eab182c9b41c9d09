"""The affinity model and its components."""

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .backbones import SliceVGG, TimmBackbone
from .cls_heads import AffinityClsHead, BaseSliceHead, PooledClsHead, SingleShotClsHead
from .data_preprocessors import SliceDataPreprocessor
from .dense_heads import LogitRankedRPNHead
from .detectors import AffinityRCNN, CovidCTMaskNet, RoISliceClassifier, SliceClassifier, TTAMaskRCNN
from .fast import (
    FastAffinityClsHead,
    FastAffinityRoIHead,
    FastLesionMaskHead,
    FastMaskFeatureHead,
    GreyResNet,
    LesionBBoxHead,
    SingleLevelRoIExtractor,
    SparseRoIAlign,
)
from .losses import MaskDiceLoss
from .roi_heads import (
    AffinityMaskScoringRoIHead,
    AffinityRoIHead,
    ClassificationBranch,
    LesionMaskHead,
    MaskFeatureHead,
    PooledMaskFeatureHead,
)
from .task_modules import RoundedAnchorGenerator, SoftRoISelector, TopRoISelector, WeightedBoxCoder

__all__ = [
    'AffinityClsHead',
    'AffinityMaskScoringRoIHead',
    'AffinityRCNN',
    'AffinityRoIHead',
    'BaseSliceHead',
    'ClassificationBranch',
    'CovidCTMaskNet',
    'FastAffinityClsHead',
    'FastAffinityRoIHead',
    'FastLesionMaskHead',
    'FastMaskFeatureHead',
    'GreyResNet',
    'LesionBBoxHead',
    'LesionMaskHead',
    'LogitRankedRPNHead',
    'MaskDiceLoss',
    'MaskFeatureHead',
    'PooledClsHead',
    'PooledMaskFeatureHead',
    'RoISliceClassifier',
    'RoundedAnchorGenerator',
    'SingleLevelRoIExtractor',
    'SingleShotClsHead',
    'SliceClassifier',
    'SliceDataPreprocessor',
    'SliceVGG',
    'SoftRoISelector',
    'SparseRoIAlign',
    'TTAMaskRCNN',
    'TimmBackbone',
    'TopRoISelector',
    'WeightedBoxCoder',
]
