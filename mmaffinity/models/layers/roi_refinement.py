"""RoI feature refinement (paper, Section 3): the bottleneck stages between mask features and vectors."""

from torch import Tensor, nn

from .roi_norm import build_roi_norm


class RefinementStage(nn.Module):
    """A bottleneck without a shortcut: halve resolution and channels, normalise, and expand again."""

    def __init__(self, channels: int, mid_channels: int, norm_cfg: dict | None) -> None:
        super().__init__()
        self.conv_down = nn.Conv2d(channels, mid_channels, 2, stride=2)
        self.norm = build_roi_norm(norm_cfg, mid_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv_up = nn.ConvTranspose2d(mid_channels, channels, 2, stride=2)

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Map RoI features (N * beta, C, H, W), with even H and W, to features of the same shape."""
        return self.conv_up(self.relu(self.norm(self.conv_down(x), num_slices)))


class RoIRefinement(nn.Module):
    """Refine mask features by N stages of (2x2 conv down, BatchNorm, ReLU, 2x2 transposed conv up).

    Args:
        channels: channels C of the mask features.
        mid_channels: channels at half resolution.
        num_stages: number of applied stages, N = 3 in the paper.
        shared: whether to apply one stage ``num_stages`` times instead of as many distinct ones. The published code applies
            one stage 9 times.
        norm_cfg: see :func:`build_roi_norm`.

    Raises:
        ValueError: if ``num_stages`` is below 1.
    """

    def __init__(
        self,
        channels: int = 256,
        mid_channels: int = 128,
        num_stages: int = 3,
        shared: bool = False,
        norm_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        if num_stages < 1:
            raise ValueError(f'num_stages of the RoI refinement must be at least 1, not {num_stages}')
        self.repeats = num_stages if shared else 1
        self.stages = nn.ModuleList(
            RefinementStage(channels, mid_channels, norm_cfg) for _ in range(1 if shared else num_stages)
        )

    def applied_stages(self) -> list[RefinementStage]:
        """Return the stages in the order in which they are applied; a shared one is repeated."""
        return list(self.stages) * self.repeats

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Refine the features of all RoIs.

        Args:
            x: mask features, shape (N * beta, C, H, W) with even H and W.
            num_slices: N.

        Returns:
            Refined features of the same shape.
        """
        for stage in self.applied_stages():
            x = stage(x, num_slices)
        return x
