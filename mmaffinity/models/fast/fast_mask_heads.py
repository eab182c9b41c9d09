"""The mask heads of both branches, computed as matrix products."""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from torch import Tensor, nn

from mmaffinity.models.roi_heads.mask_heads import LesionMaskHead, MaskFeatureHead
from mmaffinity.utils.mask_pasting import paste_masks

from .folding import FoldedUpConv, splits_into_blocks, upsample_blocks

# RoIs per pass of the mask head at test time.
CHUNK = 16


@MODELS.register_module()
class FastLesionMaskHead(LesionMaskHead):
    """A faster :class:`LesionMaskHead` with the same parameters and, up to rounding, the same outputs.

    Upsampling and the 1x1 convolution are matrix products, and on CPUs masks are pasted within their boxes only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to mask logits (R, num_classes, 2S, 2S)."""
        if not (
            splits_into_blocks(self.upsample)
            and isinstance(self.conv_logits, nn.Conv2d)
            and self.conv_logits.kernel_size == (1, 1)
        ):
            return super().forward(x)
        # Without a graph, process few RoIs at a time, so that the upsampled features fit into the processor's cache.
        chunk = CHUNK if x.is_cpu and not torch.is_grad_enabled() else max(len(x), 1)
        return torch.cat([self._logits(part) for part in x.split(chunk)])

    def _logits(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x)
        blocks = self.relu(upsample_blocks(x, self.upsample))
        logits = F.linear(blocks, self.conv_logits.weight.flatten(1), self.conv_logits.bias)
        # Reorder the logits only; the features are much larger.
        return logits.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)

    def _predict_by_feat_single(
        self,
        mask_preds: Tensor,
        bboxes: Tensor,
        labels: Tensor,
        img_meta: dict,
        rcnn_test_cfg: ConfigType,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> Tensor:
        """Return the masks of one slice, bool, shape (n, H, W); arguments as in :class:`FCNMaskHead`."""
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
class FastMaskFeatureHead(MaskFeatureHead):
    """A faster :class:`MaskFeatureHead` with the same parameters and, up to rounding, the same outputs.

    Upsampling is a matrix product. With an extra convolution, and while neither is trained, both are folded into one
    convolution (:class:`FoldedUpConv`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._folded = FoldedUpConv()

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to upsampled mask features (R, C, 2S, 2S)."""
        if self.extra_conv is not None:
            if any(p.requires_grad for layer in (self.upsample, self.extra_conv) for p in layer.parameters()):
                return super().forward(x)
        elif not splits_into_blocks(self.upsample):
            return super().forward(x)
        for conv in self.convs:
            x = conv(x)
        if self.extra_conv is not None:
            return self.relu(self._folded(x, self.upsample, self.extra_conv))
        blocks = self.relu(upsample_blocks(x, self.upsample))
        return blocks.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
