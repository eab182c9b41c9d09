"""The paper's slice head with adjacent linear layers folded."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from mmaffinity.models.cls_heads import AffinityClsHead

from .folding import fold_up_down


@MODELS.register_module()
class FastAffinityClsHead(AffinityClsHead):
    """A faster :class:`AffinityClsHead` with the same parameters and, up to rounding, the same outputs.

    The upsampling at the end of a refinement stage and the downsampling at the start of the next amount to one matrix per
    position, as do those between refinement and vectorisation. Everything after the first convolution therefore runs at half
    resolution. The last convolution of the vectorisation covers its whole map and is computed as a matrix product. Without
    refinement there is nothing to fold.
    """

    def vectors(self, mask_features: Tensor, num_slices: int) -> Tensor:
        """Map mask features (N * beta, C, S, S) to the RoI vectors X (N, beta, C)."""
        if self.refinement is None:
            return super().vectors(mask_features, num_slices)
        stages, vectorization = self.refinement.applied_stages(), self.vectorization
        folded = {}
        x = stages[0].conv_down(mask_features)
        for stage, following in zip(stages, [*(stage.conv_down for stage in stages[1:]), vectorization.convs[0]]):
            x = stage.relu(stage.norm(x, num_slices))
            pair = (stage.conv_up, following)
            if pair not in folded:  # a shared stage follows itself
                folded[pair] = fold_up_down(*pair)
            x = F.conv2d(x, *folded[pair])
        _, second, last = vectorization.convs
        x = vectorization.norms[0](vectorization.relu(x), num_slices)
        x = vectorization.norms[1](vectorization.relu(second(x)), num_slices)
        x = F.linear(x.flatten(1), last.weight.flatten(1), last.bias)[..., None, None]
        x = vectorization.norms[2](vectorization.relu(x), num_slices)
        return x.flatten(1).unflatten(0, (num_slices, -1))
