"""The slice head of the paper's predecessors, which reads scores and boxes instead of mask features."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmengine.model import kaiming_init
from torch import Tensor, nn

from mmaffinity.structures import RankedRoIs

from .base_slice_head import BaseSliceHead, fc_layers


@MODELS.register_module()
class SingleShotClsHead(BaseSliceHead):
    """Classify a slice from the scores and raw box deltas of its ranked RoIs (Single-Shot Model, COVID-CT-Mask-Net).

    The score and the 4 undecoded box deltas of each RoI, by decreasing score, form a vector of 5 beta values for fully
    connected layers. Only the order distinguishes the RoIs. The box head is frozen, but gradients pass through its outputs to
    the backbone, as in both predecessors.

    Args:
        num_classes: K.
        num_rois: beta.
        fc_channels: widths of the hidden layers.
        loss_cls, class_reduction, init_cfg: see :class:`BaseSliceHead`.
    """

    trains_through_boxes = True

    def __init__(
        self,
        num_classes: int = 3,
        num_rois: int = 128,
        fc_channels: Sequence[int] = (512, 512),
        loss_cls: dict | None = None,
        class_reduction: str = 'mean',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_classes, num_rois, loss_cls, class_reduction, init_cfg)
        self.classifier = fc_layers(5 * num_rois, fc_channels, num_classes)

    def init_weights(self) -> None:
        """Initialise weights as Kaiming normal (fan-out, ReLU), biases as 0.01."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                kaiming_init(module, bias=0.01)

    def forward(self, rois: RankedRoIs) -> dict[str, Tensor]:
        """Classify N slices.

        Args:
            rois: ranked RoIs, of which ``scores`` (N, beta) and ``deltas`` (N, beta, 4) are used.

        Returns:
            'logits' (N, K).

        Raises:
            ValueError: if beta differs from ``num_rois``.
        """
        if rois.scores.shape[1] != self.num_rois:
            raise ValueError(f'{rois.scores.shape[1]} RoIs were ranked, but SingleShotClsHead reads {self.num_rois}')
        ranked = torch.cat([rois.scores[..., None], rois.deltas], dim=2)
        return dict(logits=self.classifier(ranked.flatten(1)))
