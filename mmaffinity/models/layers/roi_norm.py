"""Normalisation of RoI features: over the RoIs of a slice or of a batch, or of each RoI independently."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .slice_batch_norm import SliceBatchNorm2d


class RoIGroupNorm(nn.GroupNorm):
    """:class:`torch.nn.GroupNorm` (Wu and He, ECCV 2018) with the call signature of :class:`SliceBatchNorm2d`.

    Each RoI is normalised by its own mean and variance, over groups of channels and all positions. A RoI's vector then
    depends on no other RoI, in particular not on arbitrary ones in a healthy slice, and the mean level that distinguishes
    slices is preserved across RoIs.
    """

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Normalise the features of all RoIs, shape (N * beta, C, H, W); ``num_slices`` N is not used."""
        return super().forward(x)


class RoIBatchNorm2d(nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` over the RoIs of all slices of a batch, called like :class:`SliceBatchNorm2d`.

    Unlike statistics of one slice's RoIs, those of a batch preserve the mean level that distinguishes slices. Evaluation mode
    uses the running averages, so that a prediction does not depend on other slices. So does a training batch with a single
    value per channel, which has no variance: the last slice of an epoch, for a layer with one vector per slice.

    Args:
        channels: C.
        norm_eval: use the running averages in training too and keep them unchanged, as MMDetection's backbones do with
            ``norm_eval``. A trained head continues from there without the noise of small batches.
        kwargs: as for :class:`torch.nn.BatchNorm2d`.
    """

    def __init__(self, channels: int, norm_eval: bool = False, **kwargs: Any) -> None:
        super().__init__(channels, **kwargs)
        self.norm_eval = norm_eval

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Normalise the features of all RoIs, shape (N * beta, C, H, W); ``num_slices`` N is not used."""
        if self.norm_eval or x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def build_roi_norm(cfg: dict | None, channels: int) -> nn.Module:
    """Build a normalisation of C channels, called with (N * beta, C, H, W) and N.

    Args:
        cfg: 'type' and arguments: 'SliceBN' (None means it) with those of :class:`SliceBatchNorm2d`; 'BN', over the RoIs of
            all slices of a batch, with those of :class:`RoIBatchNorm2d`; or 'GN' with ``num_groups``, by default 32.
        channels: C.

    Raises:
        ValueError: if the type is unknown, or the number of groups does not divide C.
    """
    arguments = dict(cfg or dict(type='SliceBN'))
    kind = arguments.pop('type', None)
    if kind == 'SliceBN':
        return SliceBatchNorm2d(channels, **arguments)
    if kind == 'BN':
        return RoIBatchNorm2d(channels, **arguments)
    if kind == 'GN':
        groups = arguments.pop('num_groups', 32)
        if groups < 1 or channels % groups:
            raise ValueError(f"num_groups={groups} of the slice head's norm_cfg does not divide its {channels} channels")
        return RoIGroupNorm(groups, channels, **arguments)
    raise ValueError(f"norm_cfg of the slice head must be of type 'SliceBN', 'BN' or 'GN', not {kind!r}")
