"""RoI feature refinement (paper, Section 3): the bottleneck stages between mask features and vectors."""
import torch.nn.functional as F
from torch import Tensor, nn

from .folding import fold_up_down
from .roi_norm import build_roi_norm


class RefinementStage(nn.Module):
    """A bottleneck without a shortcut: halve resolution and channels, normalise, and expand again.

    :class:`RoIRefinement` runs its layers.
    """

    def __init__(self, channels: int, mid_channels: int, norm_cfg: dict | None) -> None:
        super().__init__()
        self.conv_down = nn.Conv2d(channels, mid_channels, 2, stride=2)
        self.norm = build_roi_norm(norm_cfg, mid_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv_up = nn.ConvTranspose2d(mid_channels, channels, 2, stride=2)


class RoIRefinement(nn.Module):
    """Refine mask features by N stages of (2x2 conv down, BatchNorm, ReLU, 2x2 transposed conv up).

    Args:
        channels: channels C of the mask features.
        mid_channels: channels at half resolution.
        num_stages: number of applied stages, N = 3 in the paper.
        shared: whether to apply one stage ``num_stages`` times instead of as many distinct ones. The published code applies
            one stage 9 times.
        norm_cfg: see :func:`build_roi_norm`.
        fold: whether to compute the upsampling of a stage and the downsampling of the next as one. The result is the same up to
            rounding, which the published model amplifies.

    Raises:
        ValueError: if ``num_stages`` is below 1.
    """

    def __init__(self, channels: int = 256, mid_channels: int = 128, num_stages: int = 3, shared: bool = False,
                 norm_cfg: dict | None = None, fold: bool = True) -> None:
        super().__init__()
        if num_stages < 1:
            raise ValueError(f'num_stages of the RoI refinement must be at least 1, not {num_stages}')
        self.fold = fold
        self.repeats = num_stages if shared else 1
        self.stages = nn.ModuleList(
            RefinementStage(channels, mid_channels, norm_cfg) for _ in range(1 if shared else num_stages))

    @property
    def conv_up(self) -> nn.ConvTranspose2d:
        """The transposed convolution of the last stage."""
        return self.stages[-1].conv_up

    def bottleneck(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Refine the features of all RoIs, up to but without the final upsampling by :attr:`conv_up`.

        The upsampling at the end of a stage and the downsampling at the start of the next are one matrix per position, so
        everything after the first convolution runs at half resolution.

        Args:
            x: mask features, shape (N * beta, C, H, W) with even H and W.
            num_slices: N.

        Returns:
            Shape (N * beta, mid_channels, H / 2, W / 2).
        """
        stages = list(self.stages) * self.repeats
        folded = {}
        for i, stage in enumerate(stages):
            if i == 0:
                x = stage.conv_down(x)
            elif not self.fold:
                x = stage.conv_down(stages[i - 1].conv_up(x))
            else:
                pair = (stages[i - 1], stage)
                if pair not in folded:  # a shared stage is its own successor
                    folded[pair] = fold_up_down(pair[0].conv_up, stage.conv_down)
                x = F.conv2d(x, *folded[pair])
            x = stage.relu(stage.norm(x, num_slices))
        return x

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Refine the features of all RoIs.

        Args:
            x, num_slices: as for :meth:`bottleneck`.

        Returns:
            Refined features, shape (N * beta, C, H, W).
        """
        return self.conv_up(self.bottleneck(x, num_slices))
