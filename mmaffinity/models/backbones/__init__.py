"""Backbones that MMDetection does not provide."""
from .grey_resnet import GreyResNet
from .slice_vgg import SliceVGG
from .timm_backbone import TimmBackbone

__all__ = ['GreyResNet', 'SliceVGG', 'TimmBackbone']
