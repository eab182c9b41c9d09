"""Box and area of COCO's run-length masks, from the runs alone: nothing is drawn that might be broken."""
from typing import Any, NamedTuple

import numpy as np

from ..coco_checks import run_lengths


class MaskExtent(NamedTuple):
    """Where a mask lies.

    Attributes:
        box: x, y, width, height in pixels of the smallest box around it; zeros for an empty mask.
        area: pixels.
    """
    box: tuple[int, int, int, int]
    area: int


def mask_extent(rle: Any) -> MaskExtent:
    """Measure a run-length mask.

    Args:
        rle: ``size`` (height, width) and ``counts``: text (compressed) or a list of numbers, runs of background and
            lesion in turn, down the columns.

    Raises:
        ValueError: if it is none, or its runs do not add up to its size.
    """
    size, counts = rle.get('size'), rle.get('counts')
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(
            type(side) is int and 0 < side < 2**20 for side in size):
        raise ValueError(f'its mask has the size {size!r}, which is not [height, width]')
    height, width = size
    runs = _runs(counts)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f'the runs of its mask add up to {runs.sum()} pixels, not to {height} x {width}')
    ends = np.cumsum(runs)
    starts = (ends - runs)[1::2]
    ends = ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return MaskExtent((0, 0, 0, 0), 0)
    left, right = starts.min() // height, (ends.max() - 1) // height
    # A run over a column's end fills the picture's lowest and topmost row.
    wraps = (starts // height != (ends - 1) // height).any()
    top = 0 if wraps else (starts % height).min()
    bottom = height - 1 if wraps else ((ends - 1) % height).max()
    return MaskExtent((int(left), int(top), int(right - left + 1), int(bottom - top + 1)), int((ends - starts).sum()))


def _runs(counts: Any) -> np.ndarray:
    if isinstance(counts, list):
        if not all(type(count) is int and abs(count) < 2**40 for count in counts):
            raise ValueError('the runs of its mask are not whole numbers of pixels')
        return np.array(counts, np.int64)
    if isinstance(counts, bytes):
        counts = counts.decode('ascii', 'replace')
    if not isinstance(counts, str):
        raise ValueError(f'the runs of its mask are {type(counts).__name__}, neither text nor a list')
    try:
        return run_lengths(counts)
    except ValueError as error:
        raise ValueError(f'it has a mask {error}') from None
