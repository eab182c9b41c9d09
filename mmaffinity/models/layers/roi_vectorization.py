"""RoI vectorisation (paper, Section 3): a feature map per RoI becomes a vector per RoI."""

from torch import Tensor, nn

from .roi_norm import build_roi_norm


class RoIVectorization(nn.Module):
    """Three times (conv, ReLU, BatchNorm); the last kernel covers the whole remaining map.

    Args:
        channels: channels C.
        roi_size: side S of the square maps, 28 in the paper; a multiple of 4. For features that are pooled already, 1: the
            first two layers, which halve the map, are left out.
        norm_cfg: see :func:`build_roi_norm`.

    Raises:
        ValueError: if ``roi_size`` is neither 1 nor a positive multiple of 4.
    """

    def __init__(self, channels: int = 256, roi_size: int = 28, norm_cfg: dict | None = None) -> None:
        super().__init__()
        if roi_size != 1 and (roi_size < 4 or roi_size % 4):
            raise ValueError(f'roi_size must be 1 or a positive multiple of 4 (two halvings), not {roi_size}')
        self.roi_size = roi_size
        halvings = 0 if roi_size == 1 else 2
        self.convs = nn.ModuleList(
            [
                *(nn.Conv2d(channels, channels, 2, stride=2) for _ in range(halvings)),
                nn.Conv2d(channels, channels, roi_size >> halvings),
            ]
        )
        self.norms = nn.ModuleList(build_roi_norm(norm_cfg, channels) for _ in self.convs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Convert RoI maps to RoI vectors.

        Args:
            x: refined mask features, shape (N * beta, C, S, S).
            num_slices: N.

        Returns:
            X, shape (N, beta, C).

        Raises:
            ValueError: if the maps are not S x S.
        """
        if x.shape[-2:] != (self.roi_size, self.roi_size):
            raise ValueError(f'expected maps of {self.roi_size} x {self.roi_size}, got {tuple(x.shape[-2:])}')
        for conv, norm in zip(self.convs, self.norms):
            x = norm(self.relu(conv(x)), num_slices)
        return x.flatten(1).unflatten(0, (num_slices, -1))
