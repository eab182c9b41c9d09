"""Fold adjacent linear layers into one: the same results with less arithmetic."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fold_up_down(up: nn.ConvTranspose2d, down: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Fold a transposed convolution and the next convolution, both with kernel = stride, into one 1x1 convolution.

    The first expands a position to a k x k block, and the second reduces that block to a position: together they amount to one
    matrix per position. It is computed from the weights within the graph, so both layers train as before.

    Args:
        up: D -> C channels, kernel k, stride k.
        down: C -> E channels, kernel k, stride k.

    Returns:
        Weight (E, D, 1, 1) and bias (E,) of the 1x1 convolution.

    Raises:
        ValueError: if kernel and stride differ, the two kernels differ, or a layer has padding, dilation or groups.
    """
    for layer in (up, down):
        if (
            layer.kernel_size != layer.stride
            or layer.kernel_size != up.kernel_size
            or any(layer.padding)
            or max(layer.dilation) > 1
            or layer.groups > 1
            or any(getattr(layer, 'output_padding', ()))
        ):
            raise ValueError(
                f'only layers with kernel = stride and no padding, dilation or groups can be folded, not {up} and {down}'
            )
    weight = down.weight.flatten(1) @ up.weight.flatten(1).t()
    bias = down.weight.sum((2, 3)) @ up.bias + down.bias
    return weight[..., None, None], bias


def splits_into_blocks(up: nn.Module) -> bool:
    """Return whether :func:`upsample_blocks` can compute a layer: a transposed convolution with kernel = stride = 2."""
    return (
        isinstance(up, nn.ConvTranspose2d)
        and up.kernel_size == up.stride == (2, 2)
        and up.groups == 1
        and not any((*up.padding, *up.output_padding))
        and up.bias is not None
    )


def upsample_blocks(x: Tensor, up: nn.ConvTranspose2d) -> Tensor:
    """Apply a 2x2 stride-2 transposed convolution as one matrix per position.

    Args:
        x: features, shape (R, D, H, W).
        up: D -> C channels, see :func:`splits_into_blocks`.

    Returns:
        The 2x2 block of each position, channels last, shape (R, H, W, 2, 2, C).
    """
    rois, depth, height, width = x.shape
    weight = up.weight.permute(0, 2, 3, 1).reshape(depth, -1)
    blocks = torch.addmm(up.bias.repeat(4), x.permute(0, 2, 3, 1).reshape(-1, depth), weight)
    return blocks.view(rois, height, width, 2, 2, up.out_channels)


class FoldedUpConv:
    """Compute ``conv(up(x))`` of a 2x2 stride-2 transposed and a 3x3 convolution as a single 2x2 convolution.

    Through the 3x3 kernel, each of the four pixels that a position expands to depends on 2x2 positions: 16 products per
    position and pair of channels instead of 36 + 4. Borders are exact: outside the map, the 3x3 kernel sees zeros rather than
    the transposed convolution's bias, so the folded bias differs at the edges.

    Gradients pass to ``x`` only, so the layers cannot be trained. The folded weights are cached with a copy of the original
    weights and recomputed when those change in any way.
    """

    def __init__(self) -> None:
        self._sources: tuple[Tensor, ...] = ()
        self._weight = self._bias = torch.empty(0)

    def __call__(self, x: Tensor, up: nn.ConvTranspose2d, conv: nn.Conv2d) -> Tensor:
        """Apply both layers.

        Args:
            x: features, shape (R, D, H, W).
            up: D -> C channels, kernel 2, stride 2.
            conv: C -> E channels, kernel 3, padding 1.

        Returns:
            Features, shape (R, E, 2H, 2W), channels last in memory.

        Raises:
            ValueError: if kernel, stride, padding, dilation or groups of the layers differ from these.
        """
        self._update(up, conv)
        rois, _, height, width = x.shape
        # Output position (u, v) depends on rows u - 1 and u of x: the upper pixels of row u and the lower ones of row u - 1.
        phases = F.conv2d(x, self._weight, padding=1).unflatten(1, (2, 2, -1))
        rows = [torch.stack([phases[:, a, b, :, a : a + height, b : b + width] for b in range(2)], -1) for a in range(2)]
        blocks = torch.stack(rows, 3)  # (R, E, H, 2, W, 2)
        return blocks.flatten(4).flatten(2, 3) + self._bias_map(2 * height, 2 * width).to(blocks.dtype)

    def _bias_map(self, height: int, width: int) -> Tensor:
        rows, columns = (torch.tensor([0] + [1] * (size - 2) + [2], device=self._bias.device) for size in (height, width))
        return self._bias[:, rows[:, None], columns]

    @torch.no_grad()
    def _update(self, up: nn.ConvTranspose2d, conv: nn.Conv2d) -> None:
        sources = (up.weight, up.bias, conv.weight, conv.bias)
        # Compare by value: version counters do not register writes through `.data`.
        if len(self._sources) == 4 and all(
            old.dtype == new.dtype and old.device == new.device and torch.equal(old, new)
            for old, new in zip(self._sources, sources)
        ):
            return
        if (up.kernel_size, up.stride, up.padding, conv.kernel_size, conv.stride, conv.padding, conv.dilation) != (
            (2, 2),
            (2, 2),
            (0, 0),
            (3, 3),
            (1, 1),
            (1, 1),
            (1, 1),
        ) or up.groups * conv.groups > 1:
            raise ValueError(f'expected a 2x2 stride-2 transposed and a 3x3 convolution, got {up} and {conv}')
        with torch.autocast(up.weight.device.type, enabled=False):
            self._fold(*sources)
        self._sources = tuple(weight.clone() for weight in sources)

    def _fold(self, up_weight: Tensor, up_bias: Tensor, weight: Tensor, bias: Tensor) -> None:
        # reach[a, p, i, s] = 1: through tap i of the 3x3 kernel, pixel a of a position sees pixel s of its p-th neighbour.
        reach = weight.new_zeros(2, 2, 3, 2)
        for a in range(2):
            for i in range(3):
                pixel = a + i - 1  # counted from the position's own upper pixel
                reach[a, pixel // 2 + 1 - a, i, pixel % 2] = 1
        products = torch.einsum('ecij,dcst->eijdst', weight, up_weight)
        phases = torch.einsum('apis,bqjt,eijdst->abedpq', reach, reach, products)
        self._weight = phases.flatten(0, 2).contiguous(memory_format=torch.channels_last)
        # Taps inside the map at the first, an inner and the last pixel.
        inside = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]).to(weight)
        taps = torch.einsum('ecij,c->eij', weight, up_bias)
        self._bias = torch.einsum('eij,yi,xj->eyx', taps, inside, inside) + bias[:, None, None]
