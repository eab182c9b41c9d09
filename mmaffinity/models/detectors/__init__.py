"""Detectors."""

from .affinity_rcnn import AffinityRCNN
from .averaged_views import MultiViewMaskRCNN
from .covid_ct_mask_net import CovidCTMaskNet
from .roi_slice_classifier import RoISliceClassifier
from .slice_classifier import SliceClassifier

__all__ = ['AffinityRCNN', 'CovidCTMaskNet', 'MultiViewMaskRCNN', 'RoISliceClassifier', 'SliceClassifier']
