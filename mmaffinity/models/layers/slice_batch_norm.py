"""Batch normalisation whose batch is the RoIs of one slice."""

import torch.nn.functional as F
from torch import Tensor, nn

STATISTICS = ('slice', 'running')


class SliceBatchNorm2d(nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` over the beta RoIs of each slice, for several slices at once.

    The published model classifies one slice at a time with these layers in training mode, even when testing. It was trained
    and evaluated with the statistics of the slice's own RoIs. This layer does the same for batches of slices, so a prediction
    does not depend on the other slices in the batch. Running averages are updated as usual, because checkpoints store them and
    ``statistics='running'`` uses them.

    Args:
        num_features: channels C.
        statistics: the statistics used in evaluation mode: 'slice', the mean and variance over the RoIs and positions of each
            slice, or 'running', the averages collected in training. Training mode always uses those of the slice.
        eps: added to the variance.
        momentum: weight of the newest slice in the running averages.

    Raises:
        ValueError: if ``statistics`` is neither.
    """

    def __init__(self, num_features: int, statistics: str = 'slice', eps: float = 1e-5, momentum: float = 0.1) -> None:
        if statistics not in STATISTICS:
            raise ValueError(f'statistics of SliceBatchNorm2d must be one of {STATISTICS}, not {statistics!r}')
        super().__init__(num_features, eps=eps, momentum=momentum)
        self.statistics = statistics

    def forward(self, x: Tensor, num_slices: int = 1) -> Tensor:
        """Normalise the features of N slices.

        Args:
            x: features of all RoIs, slice after slice, shape (N * beta, C, H, W).
            num_slices: N.

        Returns:
            Normalised features of the same shape.

        Raises:
            ValueError: if the first dimension is not a multiple of N.
        """
        if not self.training and self.statistics == 'running':
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        if x.shape[0] % num_slices:
            raise ValueError(f'{x.shape[0]} RoIs cannot be shared equally among {num_slices} slices')
        mean, var = self.running_mean, self.running_var
        if num_slices > 1:
            # One channel per (slice, channel), so one call of the native kernel keeps the statistics of slices separate.
            shape = x.shape
            x = x.unflatten(0, (num_slices, -1)).transpose(0, 1).flatten(1, 2)
            mean, var = mean.repeat(num_slices), var.repeat(num_slices)
        y = F.batch_norm(
            x,
            mean if self.training else None,
            var if self.training else None,
            self.weight.repeat(num_slices),
            self.bias.repeat(num_slices),
            True,
            self.momentum,
            self.eps,
        )
        if self.training:
            self.num_batches_tracked += num_slices
        if num_slices > 1:
            y = y.unflatten(1, (num_slices, -1)).transpose(0, 1).reshape(shape)
            if self.training:
                # The mean of the updates that the slices would make individually from the same start.
                self.running_mean.copy_(mean.view(num_slices, -1).mean(0))
                self.running_var.copy_(var.view(num_slices, -1).mean(0))
        return y

    def extra_repr(self) -> str:
        return f'{super().extra_repr()}, statistics={self.statistics!r}'
