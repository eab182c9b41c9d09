"""Mask heads of the two branches."""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, InstanceList
from torch import Tensor, nn

from mmaffinity.models.layers import FoldedUpConv, splits_into_blocks, upsample_blocks
from mmaffinity.ops import roi_align
from mmaffinity.utils.mask_pasting import paste_masks

# RoIs per pass of the mask head in testing.
CHUNK = 16


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

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to mask logits (R, num_classes, 2S, 2S)."""
        if not (splits_into_blocks(self.upsample) and isinstance(self.conv_logits, nn.Conv2d)
                and self.conv_logits.kernel_size == (1, 1)):
            return super().forward(x)
        # Without a graph, few RoIs at a time, so that the upsampled features fit into the processor's cache.
        chunk = CHUNK if x.is_cpu and not torch.is_grad_enabled() else max(len(x), 1)
        return torch.cat([self._logits(part) for part in x.split(chunk)])

    def _logits(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x)
        blocks = self.relu(upsample_blocks(x, self.upsample))
        logits = F.linear(blocks, self.conv_logits.weight.flatten(1), self.conv_logits.bias)
        # Only the logits, not the features, need to be reordered.
        return logits.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)

    def get_targets(self, sampling_results: list[SamplingResult], batch_gt_instances: InstanceList,
                    rcnn_train_cfg: ConfigType) -> Tensor:
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

    def _predict_by_feat_single(self, mask_preds: Tensor, bboxes: Tensor, labels: Tensor, img_meta: dict,
                                rcnn_test_cfg: ConfigType, rescale: bool = False, activate_map: bool = False) -> Tensor:
        """Return the masks of one slice, bool (n, H, W); arguments as in :class:`FCNMaskHead`."""
        threshold = rcnn_test_cfg.mask_thr_binary
        if not (bboxes.is_cpu and rescale and threshold > 0) or activate_map:
            return super()._predict_by_feat_single(mask_preds, bboxes, labels, img_meta, rcnn_test_cfg, rescale, activate_map)
        bboxes /= bboxes.new_tensor(img_meta['scale_factor']).repeat(2)  # in place, like the parent: these are returned
        index = torch.zeros_like(labels) if self.class_agnostic else labels
        masks = mask_preds[torch.arange(len(labels)), index].sigmoid()
        height, width = img_meta['ori_shape'][:2]
        pasted = paste_masks(masks.detach().float().numpy(), bboxes.detach().float().numpy(), height, width, threshold)
        return torch.from_numpy(pasted)


@MODELS.register_module()
class MaskFeatureHead(FCNMaskHead):
    """Mask head of the classification branch, which ends after upsampling and returns features, not logits.

    Args:
        extra_conv: insert a 3x3 convolution between the transposed convolution and its ReLU. The published code has
            one, in this branch only, which is neither trained nor copied; its checkpoints need it.
        fold: whether to compute it and the transposed convolution as one, see :class:`FoldedUpConv`; without an extra
            convolution, whether to compute the transposed convolution as a matrix product.
    """

    def __init__(self, *args: Any, extra_conv: bool = False, fold: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.upsample_method != 'deconv':
            raise ValueError(f"MaskFeatureHead upsamples by 'deconv' only, not {self.upsample_method!r}")
        self.conv_logits = None
        self.extra_conv = nn.Conv2d(self.conv_out_channels, self.conv_out_channels, 3, padding=1) if extra_conv else None
        self.fold = fold
        self._folded = FoldedUpConv()

    def init_weights(self) -> None:
        """Initialise like :class:`FCNMaskHead`, including the extra convolution."""
        super().init_weights()
        if self.extra_conv is not None:
            nn.init.kaiming_normal_(self.extra_conv.weight, mode='fan_out', nonlinearity='relu')
            nn.init.zeros_(self.extra_conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to upsampled mask features (R, C, 2S, 2S)."""
        for conv in self.convs:
            x = conv(x)
        if self.extra_conv is None and self.fold and splits_into_blocks(self.upsample):
            blocks = self.relu(upsample_blocks(x, self.upsample))
            return blocks.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
        if self.extra_conv is None:
            return self.relu(self.upsample(x))
        trained = any(p.requires_grad for layer in (self.upsample, self.extra_conv) for p in layer.parameters())
        if trained or not self.fold:
            return self.relu(self.extra_conv(self.upsample(x)))
        return self.relu(self._folded(x, self.upsample, self.extra_conv))
