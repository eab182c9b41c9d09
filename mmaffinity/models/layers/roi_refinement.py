"""RoI feature refinement (paper, Section 3: the bottleneck stages between mask features and vectors)."""
from torch import Tensor, nn

from .slice_batch_norm import SliceBatchNorm2d


class RefinementStage(nn.Module):
    """Halve the resolution and the channels, normalise, and go back: a bottleneck without a shortcut."""

    def __init__(self, channels: int, mid_channels: int, statistics: str) -> None:
        super().__init__()
        self.conv_down = nn.Conv2d(channels, mid_channels, 2, stride=2)
        self.norm = SliceBatchNorm2d(mid_channels, statistics)
        self.relu = nn.ReLU(inplace=True)
        self.conv_up = nn.ConvTranspose2d(mid_channels, channels, 2, stride=2)

    def forward(self, x: Tensor, num_slices: int) -> Tensor:
        return self.conv_up(self.relu(self.norm(self.conv_down(x), num_slices)))


class RoIRefinement(nn.Module):
    """Refine mask features by N stages of (2x2 conv down, BatchNorm, ReLU, 2x2 transposed conv up).

    Args:
        channels: channels C of the mask features.
        mid_channels: channels at half resolution.
        num_stages: how many stages are applied, N = 3 in the paper.
        shared: whether one stage is applied ``num_stages`` times instead of so many distinct ones. The published code
            does this with 9 applications.
        statistics: see :class:`SliceBatchNorm2d`.

    Raises:
        ValueError: if ``num_stages`` is below 1.
    """

    def __init__(self, channels: int = 256, mid_channels: int = 128, num_stages: int = 3, shared: bool = False,
                 statistics: str = 'slice') -> None:
        super().__init__()
        if num_stages < 1:
            raise ValueError(f'num_stages of the RoI refinement must be at least 1, not {num_stages}')
        self.repeats = num_stages if shared else 1
        self.stages = nn.ModuleList(
            RefinementStage(channels, mid_channels, statistics) for _ in range(1 if shared else num_stages))

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Refine the features of all RoIs.

        Args:
            x: mask features, shape (N * beta, C, H, W) with even H and W.
            num_slices: N.

        Returns:
            Refined features, shape (N * beta, C, H, W).
        """
        for _ in range(self.repeats):
            for stage in self.stages:
                x = stage(x, num_slices)
        return x
