"""Anchors and the choice of RoIs."""
from .rounded_anchor_generator import RoundedAnchorGenerator
from .top_roi_selector import TopRoISelector, stretch_indices

__all__ = ['RoundedAnchorGenerator', 'TopRoISelector', 'stretch_indices']
