"""RoI vectorisation (paper, Section 3): a feature map per RoI becomes a vector per RoI."""

import torch.nn.functional as F
from torch import Tensor, nn

from .folding import fold_up_down
from .roi_norm import build_roi_norm


class RoIVectorization(nn.Module):
    """Three times (conv, ReLU, BatchNorm); the last kernel covers the whole remaining map.

    Args:
        channels: channels C.
        roi_size: side S of the square maps, 28 in the paper; a multiple of 4.
        norm_cfg: see :func:`build_roi_norm`.
        fold: whether to compute adjacent linear layers as one, see :class:`RoIRefinement`.

    Raises:
        ValueError: if ``roi_size`` is not a positive multiple of 4.
    """

    def __init__(self, channels: int = 256, roi_size: int = 28, norm_cfg: dict | None = None, fold: bool = True) -> None:
        super().__init__()
        if roi_size < 4 or roi_size % 4:
            raise ValueError(f'roi_size must be a positive multiple of 4 (two halvings), not {roi_size}')
        self.roi_size = roi_size
        self.fold = fold
        last = roi_size // 4
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 2, stride=2),
                                    nn.Conv2d(channels, channels, 2, stride=2),
                                    nn.Conv2d(channels, channels, last)])
        self.norms = nn.ModuleList(build_roi_norm(norm_cfg, channels) for _ in self.convs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, num_slices: int = 1, upsample: nn.ConvTranspose2d | None = None) -> Tensor:
        """Convert RoI maps to RoI vectors.

        Args:
            x: refined mask features, shape (N * beta, C, S, S).
            num_slices: N.
            upsample: a 2x2 stride-2 transposed convolution to apply to ``x`` first, (N * beta, D, S/2, S/2) ->
                (N * beta, C, S, S); it is folded into the first convolution.

        Returns:
            X, shape (N, beta, C).

        Raises:
            ValueError: if the maps are not S x S.
        """
        size = self.roi_size if upsample is None else self.roi_size // 2
        if x.shape[-2:] != (size, size):
            raise ValueError(f'expected maps of {size} x {size}, got {tuple(x.shape[-2:])}')
        first, second, last = self.convs
        if upsample is not None and self.fold:
            x = F.conv2d(x, *fold_up_down(upsample, first))
        else:
            x = first(x if upsample is None else upsample(x))
        x = self.norms[0](self.relu(x), num_slices)
        x = self.norms[1](self.relu(second(x)), num_slices)
        # A kernel that covers the whole map is a matrix.
        x = F.linear(x.flatten(1), last.weight.flatten(1), last.bias)[..., None, None] if self.fold else last(x)
        x = self.norms[2](self.relu(x), num_slices)
        return x.flatten(1).unflatten(0, (num_slices, -1))
