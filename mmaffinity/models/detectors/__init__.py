"""Detectors."""
from .affinity_rcnn import AffinityRCNN

__all__ = ['AffinityRCNN']
