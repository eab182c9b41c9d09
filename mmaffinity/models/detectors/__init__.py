"""Detectors."""

from .affinity_rcnn import AffinityRCNN
from .covid_ct_mask_net import CovidCTMaskNet
from .roi_slice_classifier import RoISliceClassifier
from .slice_classifier import SliceClassifier
from .tta import TTAMaskRCNN

__all__ = ['AffinityRCNN', 'CovidCTMaskNet', 'RoISliceClassifier', 'SliceClassifier', 'TTAMaskRCNN']
