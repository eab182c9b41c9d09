"""Paste each box's mask probabilities into a mask of the whole slice."""

import numpy as np


def paste_masks(probabilities: np.ndarray, boxes: np.ndarray, height: int, width: int, threshold: float = 0.5) -> np.ndarray:
    """Interpolate and threshold each mask within its box only.

    The result equals that of MMDetection's ``_do_paste_mask`` (bilinear ``grid_sample`` with zero padding), which spends most
    of its time on per-object calls.

    Args:
        probabilities: masks with values in [0, 1], float32, shape (n, S, S).
        boxes: x1 y1 x2 y2 in pixels of the slice, float32, shape (n, 4).
        height, width: size of the slice in pixels.
        threshold: lowest probability of a lesion pixel.

    Returns:
        Masks, bool, shape (n, height, width).
    """
    pasted = np.zeros((len(boxes), height, width), dtype=bool)
    if not len(boxes):
        return pasted
    # Two cells of zero padding: one for the neighbours of border pixels, one for positions outside.
    masks = np.pad(probabilities, ((0, 0), (2, 2), (2, 2)))
    x_start, x_stop, x_low, x_high = _axis(boxes[:, 0], boxes[:, 2], width, masks.shape[2] - 4)
    y_start, y_stop, y_low, y_high = _axis(boxes[:, 1], boxes[:, 3], height, masks.shape[1] - 4)
    for i, mask in enumerate(masks):
        rows, columns = y_stop[i] - y_start[i], x_stop[i] - x_start[i]
        if rows <= 0 or columns <= 0:
            continue
        cell, weight = y_low[i, :rows], y_high[i, :rows, None]
        lines = mask[cell] * (1 - weight) + mask[cell + 1] * weight
        cell, weight = x_low[i, :columns], x_high[i, :columns]
        values = lines[:, cell] * (1 - weight) + lines[:, cell + 1] * weight
        np.greater_equal(values, threshold, out=pasted[i, y_start[i] : y_stop[i], x_start[i] : x_stop[i]])
    return pasted


def _axis(start: np.ndarray, end: np.ndarray, size: int, cells: int) -> tuple[np.ndarray, ...]:
    """Return each box's pixel range along one axis, and for each pixel its lower mask cell and the weight of the upper one.

    The range is the first pixel and the one after the last; cells are those of the padded mask.
    """
    first = np.clip(np.floor(start) - 1, 0, None).astype(np.int32)
    stop = np.clip(np.ceil(end) + 1, None, size).astype(np.int32)
    pixel = (first[:, None] + np.arange(max(int((stop - first).max()), 0))).astype(np.float32) + np.float32(0.5)
    # Same order of operations as MMDetection and grid_sample, hence the same rounding.
    with np.errstate(divide='ignore', invalid='ignore'):
        position = (pixel - start[:, None]) / (end - start)[:, None] * 2 - 1
    position[np.isinf(position)] = 0
    position = ((position + 1) * cells - 1) / 2
    # A box without extent may give 0 / 0; it maps to zeros, like any position outside.
    position = np.clip(np.nan_to_num(position, nan=-2), -2, cells)
    low = np.floor(position)
    return first, stop, low.astype(np.intp) + 2, position - low
