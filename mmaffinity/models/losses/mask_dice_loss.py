"""A mask loss that also measures overlap."""

from typing import Any

import torch
from mmdet.models.losses import CrossEntropyLoss, DiceLoss
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class MaskDiceLoss(CrossEntropyLoss):
    """Cross-entropy of mask pixels plus the Dice loss of each mask, for ``loss_mask`` of a mask head.

    The Dice loss of a mask is 1 - (2 |P G| + 1) / (|P| + |G| + 1), with prediction P, target G, and |.| for sums over pixels.
    It rewards overlap, on which average precision depends, and weighs small and large masks equally.

    Args:
        loss_weight: weight of the cross-entropy.
        dice_weight: weight of the Dice loss.
        **kwargs: as for :class:`mmdet.models.losses.CrossEntropyLoss`; ``use_mask`` is always set.
    """

    def __init__(self, loss_weight: float = 0.5, dice_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs, use_mask=True, loss_weight=loss_weight)
        self.dice = DiceLoss(naive_dice=True, eps=1.0, loss_weight=dice_weight)

    def forward(self, cls_score: Tensor, label: Tensor, weight: Tensor, **kwargs: Any) -> Tensor:
        """Return the loss, shape (1,).

        Args:
            cls_score: mask logits, shape (N, K, H, W) for N > 0 RoIs and K classes.
            label: target masks with values in [0, 1], shape (N, H, W).
            weight: class of each RoI, shape (N,), as mask heads pass it.
            **kwargs: further arguments of the cross-entropy.
        """
        masks = cls_score[torch.arange(len(weight), device=weight.device), weight]
        # Half precision is too coarse for sums over 28 x 28 pixels.
        return super().forward(cls_score, label, weight, **kwargs) + self.dice(masks.float(), label)
