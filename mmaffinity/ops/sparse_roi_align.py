"""RoIAlign as the product of a sparse matrix and the feature map."""

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def sparse_roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 2,
    aligned: bool = True,
) -> Tensor:
    """Average-pooling RoIAlign (He et al., Mask R-CNN, ICCV 2017) for CPUs, equal to :func:`roi_align` up to rounding.

    A bin's value is a weighted sum of a few feature cells, so the bins of all RoIs are the product of one sparse matrix and the
    channels-last map. Cells used by several samples of a bin are merged: RoIs of a few cells need 4 to 6 weights per bin
    instead of 16. The gradient is the product with the transposed matrix. Both products parallelise over rows, with one thread
    per row, so results are reproducible bit for bit.

    Args:
        features: feature maps, shape (N, C, H, W), in any memory format; channels last saves a copy.
        rois: index of the image in the batch, then x1 y1 x2 y2 in pixels of the input, shape (R, 5).
        output_size: bins per RoI (height, width).
        spatial_scale: cells per pixel of the input, for example 1/16.
        sampling_ratio: number of samples per bin and axis, at least 1.
        aligned: whether coordinates refer to pixel centres (half a cell is subtracted, and a RoI may be smaller than a
            cell), or not.

    Returns:
        Bins, shape (R, C, height, width), channels last in memory.

    Raises:
        ValueError: if ``sampling_ratio`` is below 1, because the adaptive number of samples differs from RoI to RoI.
    """
    if sampling_ratio < 1:
        raise ValueError(
            f'sampling_ratio must be at least 1, not {sampling_ratio}: use roi_align for an adaptive number of samples'
        )
    num_images, channels, height, width = features.shape
    # Half precision, including coordinates, is interpolated in single precision.
    dtype = torch.promote_types(features.dtype, torch.float32)
    cells = features.permute(0, 2, 3, 1).reshape(-1, channels).to(dtype)
    with torch.no_grad():
        matrix = _interpolation_matrix(
            rois.to(dtype), (num_images, height, width), output_size, spatial_scale, sampling_ratio, aligned
        )
    with torch.autocast(features.device.type, enabled=False):  # autocast would run the product in half precision
        bins = _Interpolate.apply(cells, *matrix)
    return bins.view(len(rois), *output_size, channels).permute(0, 3, 1, 2).to(features.dtype)


def _interpolation_matrix(
    rois: Tensor,
    map_shape: tuple[int, int, int],
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return row starts, columns and values (compressed sparse rows) of the (R * bins) x (N * H * W) matrix."""
    _, height, width = map_shape
    x1, y1, x2, y2 = (rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)).unbind(1)
    rows, row_weights = _axis_weights(y1, y2, height, output_size[0], sampling_ratio, aligned)
    columns, column_weights = _axis_weights(x1, x2, width, output_size[1], sampling_ratio, aligned)
    rows = (rows + rois[:, 0].int()[:, None, None] * height) * width
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    cells = rows[:, :, None, :, None] + columns[:, None, :, None, :]
    kept = weights != 0
    starts = torch.zeros(weights[..., 0, 0].numel() + 1, dtype=torch.int32, device=rois.device)
    torch.cumsum(kept.sum((3, 4)).flatten(), 0, out=starts[1:])
    return starts, cells[kept], weights[kept]


def _axis_weights(start: Tensor, end: Tensor, size: int, bins: int, samples: int, aligned: bool) -> tuple[Tensor, Tensor]:
    """Return the cells along one axis and their weights in each bin, (R, bins, K) each, with at most K cells per bin."""
    extent = end - start
    step = (extent if aligned else extent.clamp(min=1.0)) / bins
    at = (torch.arange(samples, dtype=start.dtype, device=start.device) + 0.5) / samples
    at = at + torch.arange(bins, dtype=start.dtype, device=start.device)[:, None]
    position = start[:, None, None] + at * step[:, None, None]
    inside = (position >= -1) & (position <= size)
    position = position.clamp(0, size - 1)
    low = position.floor()
    upper = position - low
    low = low.nan_to_num().int()  # a NaN coordinate gives NaN values, but does not read out of bounds
    cells = torch.stack([low, (low + 1).clamp(max=size - 1)], -1).flatten(2)
    weights = torch.stack([1 - upper, upper], -1) * inside[..., None] / samples
    # The samples of a bin mostly share cells: sum the weights by distance from the first cell.
    first = cells.amin(2, keepdim=True)
    distance = cells - first
    most = int(distance.max()) + 1 if len(distance) else 1
    merged = weights.new_zeros((*cells.shape[:2], most)).scatter_add_(2, distance.long(), weights.flatten(2))
    # Cells beyond the border have no weight; the clamp only keeps their indices within the map.
    return (first + torch.arange(most, dtype=first.dtype, device=first.device)).clamp(max=size - 1), merged


class _Interpolate(torch.autograd.Function):
    """Matrix times cells, (R * bins, N * H * W) x (N * H * W, C); the gradient is the product with the transposed matrix."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, starts: Tensor, columns: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(starts, columns, values)
        ctx.num_cells = len(cells)
        return product(csr_matrix(starts, columns, values, len(cells)), cells)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        starts, columns, values = ctx.saved_tensors
        # Stored by rows, so that the product again parallelises over rows and no two threads add to the same cell.
        transposed = csr_matrix(starts, columns, values, ctx.num_cells).t().to_sparse_csr()
        return product(transposed, grad.contiguous()), None, None, None


def product(matrix: Tensor, dense: Tensor) -> Tensor:
    """Multiply a sparse by a dense matrix."""
    # In place, because torch's matmul would first allocate zeros, and copy the result at the end.
    return dense.new_empty((matrix.shape[0], dense.shape[1])).addmm_(matrix, dense, beta=0)


def csr_matrix(starts: Tensor, columns: Tensor, values: Tensor, num_columns: int) -> Tensor:
    """Build a matrix in compressed sparse rows; row r has the values from starts[r] to starts[r + 1]."""
    _announce_csr()
    return torch.sparse_csr_tensor(starts, columns, values, (len(starts) - 1, num_columns), check_invariants=False)


@cache
def _announce_csr() -> None:
    """Trigger and suppress torch's one-time warning that compressed sparse rows are in beta."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.ones(1), (1, 1))
