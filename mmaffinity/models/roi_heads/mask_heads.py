"""Mask heads of the two branches."""

from typing import Any

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, InstanceList
from mmengine.model import kaiming_init
from torch import Tensor, nn

from mmaffinity.ops import roi_align


@MODELS.register_module()
class LesionMaskHead(FCNMaskHead):
    """Mask head of the segmentation branch; soft mask targets are optional.

    Args:
        soft_targets: False uses MMDetection's targets: RoIAlign of the ground truth, half-pixel aligned, binarised at 0.5. True
            uses those of the published code: RoIAlign with adaptive sampling, without half-pixel alignment or binarisation.
    """

    def __init__(self, *args: Any, soft_targets: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.soft_targets = soft_targets

    def get_targets(
        self, sampling_results: list[SamplingResult], batch_gt_instances: InstanceList, rcnn_train_cfg: ConfigType
    ) -> Tensor:
        """Return the mask targets of the positive RoIs, values in [0, 1], shape (num_pos, S, S)."""
        if not self.soft_targets:
            return super().get_targets(sampling_results, batch_gt_instances, rcnn_train_cfg)
        size = rcnn_train_cfg.mask_size
        targets = []
        for result, instances in zip(sampling_results, batch_gt_instances):
            rois = result.pos_priors
            if not len(rois):
                targets.append(rois.new_zeros((0, size, size)))
                continue
            masks = instances.masks.to_tensor(rois.dtype, rois.device)[:, None]
            # The ground-truth mask of a RoI serves as its batch index, so no mask is repeated for its RoIs.
            rois = torch.cat([result.pos_assigned_gt_inds[:, None].to(rois.dtype), rois], dim=1)
            targets.append(roi_align(masks, rois, (size, size), 1.0, 0, 'avg', False).squeeze(1))
        return torch.cat(targets)


@MODELS.register_module()
class MaskFeatureHead(FCNMaskHead):
    """Mask head of the classification branch, which ends after upsampling and returns features, not logits.

    Args:
        extra_conv: insert a 3x3 convolution between the transposed convolution and its ReLU. The published code has
            one, in this branch only, which is neither trained nor copied; its checkpoints need it.
    """

    def __init__(self, *args: Any, extra_conv: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.upsample_method != 'deconv':
            raise ValueError(f"MaskFeatureHead upsamples by 'deconv' only, not {self.upsample_method!r}")
        self.conv_logits = None
        self.extra_conv = nn.Conv2d(self.conv_out_channels, self.conv_out_channels, 3, padding=1) if extra_conv else None

    def init_weights(self) -> None:
        """Initialise like :class:`FCNMaskHead`, including the extra convolution."""
        super().init_weights()
        if self.extra_conv is not None:
            kaiming_init(self.extra_conv)

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to upsampled mask features (R, C, 2S, 2S)."""
        for conv in self.convs:
            x = conv(x)
        x = self.upsample(x)
        return self.relu(x if self.extra_conv is None else self.extra_conv(x))


@MODELS.register_module()
class PooledMaskFeatureHead(MaskFeatureHead):
    """Mask head of the classification branch that returns the mean and the maximum of each mask feature over the RoI.

    A slice head on 2 C numbers per RoI has a hundredth of the weights of one on 28 x 28 maps, and learns from a few thousand
    slices; docs/public_results.md compares them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to pooled mask features (R, 2C, 1, 1): means, then maxima."""
        features = super().forward(x)
        return torch.cat([features.mean((2, 3), True), features.amax((2, 3), True)], dim=1)
