"""Losses."""

from .mask_dice_loss import MaskDiceLoss

__all__ = ['MaskDiceLoss']
