"""Backbones that MMDetection does not provide."""

from .slice_vgg import SliceVGG
from .timm_backbone import TimmBackbone

__all__ = ['SliceVGG', 'TimmBackbone']
