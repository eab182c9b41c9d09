"""RoIAlign in plain torch, with the results of mmcv's compiled operation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .sparse_roi_align import csr_matrix, product

POOL_MODES = ('avg', 'max')
# Number of values interpolated at a time on CPUs, so that the sums fit in the processor's cache.
CHUNK = 2**16


@dataclass
class _Axis:
    """Samples along one axis: R RoIs, B bins per RoI, up to S samples per bin."""

    low: Tensor  # the cell before each sample, (R, B, S)
    high: Tensor  # the cell after it
    low_weight: Tensor  # weight of that cell, 0 for samples outside the map or beyond the number per bin, (R, B, S)
    high_weight: Tensor
    number: Tensor  # number of samples per bin of each RoI, (R,)

    def part(self, rois: Tensor) -> '_Axis':
        """Return the samples of some RoIs, without those that none of them uses, such as samples outside the map."""
        low, high, low_weight, high_weight = (value[rois] for value in (self.low, self.high, self.low_weight, self.high_weight))
        used = ((low_weight != 0) | (high_weight != 0)).any(0).any(0)
        return _Axis(low[:, :, used], high[:, :, used], low_weight[:, :, used], high_weight[:, :, used], self.number[rois])


@dataclass
class _Samples:
    """Samples of R RoIs. Cells are numbered by image, row and column; ``y`` contains the number of a row's first cell."""

    y: _Axis
    x: _Axis
    map_width: int

    def __iter__(self) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Yield, for one sample of every bin at a time, its four cells and their weights, each (R * bins,)."""
        for i in range(self.y.low.shape[2]):
            for j in range(self.x.low.shape[2]):
                yield [
                    (
                        (rows[:, :, None, i] + columns[:, None, :, j]).flatten(),
                        (row_weights[:, :, None, i] * column_weights[:, None, :, j]).flatten(),
                    )
                    for rows, row_weights in ((self.y.low, self.y.low_weight), (self.y.high, self.y.high_weight))
                    for columns, column_weights in ((self.x.low, self.x.low_weight), (self.x.high, self.x.high_weight))
                ]

    def part(self, rois: Tensor) -> '_Samples':
        """Return the samples of some RoIs, along both axes."""
        return _Samples(self.y.part(rois), self.x.part(rois), self.map_width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of RoIs, and of bins along y and x."""
        return self.y.low.shape[0], self.y.low.shape[1], self.x.low.shape[1]

    @property
    def number(self) -> Tensor:
        """Number of samples per bin, at least 1, (R,)."""
        return (self.y.number * self.x.number).clamp(min=1)


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: str = 'avg',
    aligned: bool = True,
) -> Tensor:
    """RoIAlign (He et al., Mask R-CNN, ICCV 2017), with the arguments of ``mmcv.ops.roi_align``.

    Terms are added in the order of mmcv's CPU kernel, so values are equal bit for bit if that kernel was compiled without fused
    multiply-add, as on x86-64. Gradients, with respect to the features only, are equal up to rounding. Unlike mmcv, this
    function reads any memory format correctly, interpolates half precision in single precision, and accepts a RoI with swapped
    corners, whose samples run backwards, as in mmcv's GPU kernel.

    Args:
        features: feature maps, shape (N, C, H, W).
        rois: index of the image in the batch, then x1 y1 x2 y2 in pixels of the input, shape (R, 5).
        output_size: bins per RoI, one number or (height, width).
        spatial_scale: cells per pixel of the input, for example 1/16.
        sampling_ratio: number of samples per bin and axis; 0 means the size of a bin in cells, rounded up.
        pool_mode: 'avg' or 'max' of a bin's samples.
        aligned: whether coordinates refer to pixel centres (half a cell is subtracted, and a RoI may be smaller than a
            cell), or not.

    Returns:
        Bins, shape (R, C, height, width).

    Raises:
        ValueError: if a shape or ``pool_mode`` is invalid.
        IndexError: if a RoI refers to an image that is not in the batch.
    """
    if features.dim() != 4 or rois.dim() != 2 or rois.shape[1] != 5:
        raise ValueError(
            f'roi_align takes features (N, C, H, W) and rois (R, 5), not {tuple(features.shape)} and {tuple(rois.shape)}'
        )
    if pool_mode not in POOL_MODES:
        raise ValueError(f'pool_mode must be one of {POOL_MODES}, not {pool_mode!r}')
    size = (output_size, output_size) if isinstance(output_size, int) else output_size
    channels = features.shape[1]
    dtype = torch.promote_types(features.dtype, torch.float32)
    cells = features.permute(0, 2, 3, 1).reshape(-1, channels).to(dtype).contiguous()
    with torch.no_grad():
        samples = _place_samples(rois.to(dtype), features.shape, size, spatial_scale, sampling_ratio, aligned)
    if pool_mode == 'max':
        pooled = _maximum(cells, samples)
    elif torch.jit.is_tracing():  # MMEngine traces models to count operations; an autograd.Function would fail
        pooled = _average(cells.detach(), samples)
    else:
        pooled = _Average.apply(cells, samples)
    return pooled.view(len(rois), channels, *size).to(features.dtype)


def _place_samples(rois: Tensor, shape: torch.Size, size: tuple[int, int], scale: float, ratio: int, aligned: bool) -> _Samples:
    images, _, height, width = shape
    x1, y1, x2, y2 = (rois[:, 1:] * scale - (0.5 if aligned else 0.0)).unbind(1)
    y, x = _axis(y1, y2, height, size[0], ratio, aligned), _axis(x1, x2, width, size[1], ratio, aligned)
    first = rois[:, 0].long()[:, None, None] * height
    index = torch.int32 if images * height * width < 2**31 else torch.int64  # int32 is faster
    y.low, y.high = (((first + rows) * width).to(index) for rows in (y.low, y.high))
    x.low, x.high = x.low.to(index), x.high.to(index)
    return _Samples(y, x, width)


def _axis(start: Tensor, end: Tensor, size: int, bins: int, ratio: int, aligned: bool) -> _Axis:
    """Place the samples along one axis; every step rounds as in mmcv's kernel."""
    extent = end - start if aligned else (end - start).clamp(min=1.0)
    step = extent / bins
    if ratio > 0:
        number = torch.full_like(start, ratio, dtype=torch.long)
    else:
        number = step.float().ceil().nan_to_num(1.0, 1.0, 1.0).clamp(min=0).long()
    most = int(number.max()) if len(number) else 0
    index = torch.arange(most, device=start.device)
    used = index < number[:, None]
    within = (index + 0.5).to(step) * step[:, None] / number.clamp(min=1)[:, None]
    position = (start[:, None] + torch.arange(bins, device=start.device) * step[:, None])[:, :, None] + within[:, None]
    outside = (position < -1) | (position > size) | ~used[:, None]
    position = position.clamp(0, size - 1)
    # A NaN coordinate gives NaN values, but does not read out of bounds.
    low = position.nan_to_num().long()
    high_weight = position - low
    low_weight = 1 - high_weight
    return _Axis(
        low, (low + 1).clamp(max=size - 1), low_weight.masked_fill_(outside, 0), high_weight.masked_fill_(outside, 0), number
    )


def _average(cells: Tensor, samples: _Samples) -> Tensor:
    """Return the mean of each bin's samples, (R, C, bins)."""
    (rois, height, width), channels = samples.shape, cells.shape[1]
    pooled = cells.new_empty((rois, channels, height * width))
    # RoIs with similar numbers of samples are processed together, because each RoI of a pass costs as much as the largest.
    numbers, order = samples.number.sort(stable=True)
    values = numbers * (height * width) if channels == 1 else torch.full_like(numbers, height * width * channels)
    pass_number = values.cumsum(0).div(CHUNK, rounding_mode='floor') if cells.is_cpu else torch.zeros_like(order)
    add_up = _add_up_one_channel if channels == 1 else _add_up
    for part in order.split(pass_number.unique_consecutive(return_counts=True)[1].tolist()):
        chosen = samples.part(part)
        pooled[part] = add_up(cells, chosen) / chosen.number[:, None, None]
    return pooled


class _Average(torch.autograd.Function):
    """Mean of each bin's samples, (R, C, bins); the gradient is the product with the transposed weight matrix."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, samples: _Samples) -> Tensor:
        ctx.samples, ctx.num_cells = samples.part(torch.arange(samples.shape[0], device=cells.device)), len(cells)
        return _average(cells, ctx.samples)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        samples: _Samples = ctx.samples
        grad = grad.transpose(1, 2).flatten(0, 1)
        corners = [corner for sample in samples for corner in sample]
        if not corners or not len(grad):
            return grad.new_zeros((ctx.num_cells, grad.shape[1])), None
        _, height, width = samples.shape
        cells = torch.stack([index.int() for index, _ in corners], 1)
        weights = torch.stack([weight for _, weight in corners], 1) / samples.number.repeat_interleave(height * width)[:, None]
        starts = torch.arange(0, cells.numel() + 1, cells.shape[1], dtype=torch.int32, device=grad.device)
        matrix = csr_matrix(starts, cells.flatten(), weights.flatten(), ctx.num_cells)
        with torch.autocast(grad.device.type, enabled=False):
            return product(matrix.t().to_sparse_csr(), grad.contiguous()), None


def _add_up(cells: Tensor, samples: _Samples) -> Tensor:
    """Return the sum of each bin's samples, (R, C, bins), adding one sample of all bins at a time."""
    rois, height, width = samples.shape
    value, term, total = cells.new_zeros((3, rois * height * width, cells.shape[1]))
    for corners in samples:
        for number, (index, weight) in enumerate(corners):
            target = term if number else value
            torch.index_select(cells, 0, index, out=target)
            target *= weight[:, None]
            if number:
                value += term  # separate from the product: fused, they would round only once
        total += value
    return total.view(rois, height * width, cells.shape[1]).transpose(1, 2)


def _add_up_one_channel(cells: Tensor, samples: _Samples) -> Tensor:
    """Do the same as :func:`_add_up` for maps of one channel, such as masks, by gathering rows and columns instead of cells."""
    rois, height, width = samples.shape
    y, x = samples.y, samples.x
    if not y.low.numel() or not x.low.numel():
        return cells.new_zeros((rois, 1, height * width))
    rows = torch.stack((y.low, y.high), 1).flatten(1)
    columns = torch.stack((x.low, x.high), 1).flatten(1)
    # Of each row, gather only a window that starts at the first column needed, and ends with the map at the latest.
    extent = int((columns.amax(1) - columns.amin(1)).max()) + 1
    first = columns.amin(1, keepdim=True).clamp(max=samples.map_width - extent)
    windows = cells.as_strided((len(cells) - extent + 1, extent), (1, 1))
    parts = windows.index_select(0, (rows + first).flatten()).view(rois, -1, extent).transpose(1, 2).flatten(0, 1)
    columns = columns - first + torch.arange(0, rois * extent, extent, device=cells.device)[:, None]
    corners = parts.index_select(0, columns.flatten()).view(rois, 2, -1, 2, rows.shape[1] // 2)
    terms = []
    for i, row_weights in enumerate((y.low_weight, y.high_weight)):
        for j, column_weights in enumerate((x.low_weight, x.high_weight)):
            weight = column_weights.flatten(1)[:, :, None] * row_weights.flatten(1)[:, None]
            terms.append(weight.mul_(corners[:, j, :, i]))
    value = terms[0].add_(terms[1]).add_(terms[2]).add_(terms[3])
    value = value.view(rois, width, -1, height, y.low.shape[2])
    total = cells.new_zeros((rois, width, height))
    for i in range(value.shape[4]):
        for j in range(value.shape[2]):
            total += value[:, :, j, :, i]
    return total.transpose(1, 2).reshape(rois, 1, -1)


def _maximum(cells: Tensor, samples: _Samples) -> Tensor:
    """Return the maximum of each bin's samples, (R, C, bins)."""
    rois, height, width = samples.shape
    best = cells.new_full((rois * height * width, cells.shape[1]), -1e4)  # mmcv's value of a bin without samples
    best = best + cells[:0].sum()  # keeps a gradient path to the map even without samples
    taken = [axis.number.repeat_interleave(height * width) for axis in (samples.y, samples.x)]
    for place, corners in enumerate(samples):
        i, j = divmod(place, samples.x.low.shape[2])
        first, second, third, fourth = (cells.index_select(0, index) * weight[:, None] for index, weight in corners)
        value = first + second + third + fourth
        best = torch.where((taken[0] > i)[:, None] & (taken[1] > j)[:, None] & (value > best), value, best)
    return best.view(rois, height * width, cells.shape[1]).transpose(1, 2).contiguous()


@MODELS.register_module()
class RoIAlign(nn.Module):
    """:func:`roi_align` as a layer, with the arguments of mmcv's :class:`RoIAlign`.

    Args:
        output_size: bins per RoI, one number or (height, width).
        spatial_scale, sampling_ratio, pool_mode, aligned: as for :func:`roi_align`.
        use_torchvision: ignored, because the results are the same; accepted for MMDetection's configs.

    Raises:
        ValueError: if ``pool_mode`` is unknown.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        pool_mode: str = 'avg',
        aligned: bool = True,
        use_torchvision: bool = False,
    ) -> None:
        super().__init__()
        if pool_mode not in POOL_MODES:
            raise ValueError(f'pool_mode must be one of {POOL_MODES}, not {pool_mode!r}')
        height, width = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.output_size = (height, width)
        self.spatial_scale = float(spatial_scale)
        self.sampling_ratio = int(sampling_ratio)
        self.pool_mode = pool_mode
        self.aligned = aligned

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        """Return the bins of R RoIs (R, 5) on a map (N, C, H, W), shape (R, C, height, width)."""
        return roi_align(
            features, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.pool_mode, self.aligned
        )

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return (
            f'output_size={self.output_size}, spatial_scale={self.spatial_scale}, sampling_ratio={self.sampling_ratio}, '
            f'pool_mode={self.pool_mode!r}, aligned={self.aligned}'
        )
