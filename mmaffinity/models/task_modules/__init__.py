"""Anchors, box deltas and RoI selection."""

from .rounded_anchor_generator import RoundedAnchorGenerator
from .soft_roi_selector import SoftRoISelector, WeightedCandidates
from .top_roi_selector import TopRoISelector, stretch_indices
from .weighted_box_coder import WeightedBoxCoder

__all__ = [
    'RoundedAnchorGenerator',
    'SoftRoISelector',
    'TopRoISelector',
    'WeightedBoxCoder',
    'WeightedCandidates',
    'stretch_indices',
]
