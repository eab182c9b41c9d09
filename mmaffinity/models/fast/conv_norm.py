"""Fold batch normalisation into the preceding convolution."""

import torch.nn.functional as F
from torch import Tensor, nn


def conv_norm(
    x: Tensor,
    conv: nn.Conv2d,
    norm: nn.Module,
    weight: Tensor | None = None,
    padding: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
) -> Tensor:
    """Return ``norm(conv(x))``, as one convolution if the normalisation is a fixed scale and shift per channel.

    This is the case for BatchNorm in evaluation mode. The folding is part of the graph: both layers train as if run in
    sequence, and there is no copy of the weights to keep in sync.

    Args:
        x: features, shape (N, D, H, W).
        conv: D -> C channels, zero padding.
        norm: normalises C channels.
        weight, padding, stride: override those of the convolution.

    Returns:
        Features, shape (N, C, H', W').
    """
    weight = conv.weight if weight is None else weight
    bias = conv.bias
    fixed = isinstance(norm, nn.BatchNorm2d) and not norm.training and norm.running_var is not None
    if fixed:
        scale = (norm.running_var + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight
        shift = -norm.running_mean if bias is None else bias - norm.running_mean
        bias = shift * scale + norm.bias if norm.affine else shift * scale
        weight = weight * scale[:, None, None, None]
    x = F.conv2d(
        x,
        weight,
        bias,
        conv.stride if stride is None else stride,
        conv.padding if padding is None else padding,
        conv.dilation,
        conv.groups,
    )
    return x if fixed else norm(x)
