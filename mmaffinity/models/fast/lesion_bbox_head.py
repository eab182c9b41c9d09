"""A box head that reads channels-last RoI features without reordering them."""

import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class LesionBBoxHead(Shared2FCBBoxHead):
    """A :class:`Shared2FCBBoxHead` with the same weights and outputs that is faster for channels-last RoI features.

    The first layer expects channels first. Its weights are permuted instead of the features, because they are smaller and do
    not grow with the number of RoIs.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map RoI features (R, C, S, S) to class logits (R, num_classes + 1) and box deltas."""
        if self.with_avg_pool or x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        first, second = self.shared_fcs
        weight = first.weight.unflatten(1, x.shape[1:]).permute(0, 2, 3, 1).flatten(1)
        x = self.relu(F.linear(x.permute(0, 2, 3, 1).flatten(1), weight, first.bias))
        x = self.relu(second(x))
        return self.fc_cls(x) if self.with_cls else None, self.fc_reg(x) if self.with_reg else None
