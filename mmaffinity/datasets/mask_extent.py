"""Box and area of COCO masks, validated before pycocotools sees them and computed without rendering."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from mmaffinity.utils.wording import plural


class MaskExtent(NamedTuple):
    """Extent of a mask.

    Attributes:
        box: x, y, width, height of the bounding box in pixels; zeros for an empty mask.
        area: area in pixels.
    """

    box: tuple[float, float, float, float]
    area: float


def mask_extent(mask: Any) -> MaskExtent:
    """Measure a mask.

    Args:
        mask: run lengths: a dict of ``size`` (height, width) and ``counts``, a string (compressed) or a list of numbers, for
            alternating runs of background and lesion in column-major order; or a list of polygons, each [x, y, x, y, ...] with
            three points or more, whose overlaps count twice.

    Raises:
        ValueError: if it is neither, or its runs do not add up to its size.
    """
    if isinstance(mask, list) and mask:
        return _outline_extent(mask)
    if not isinstance(mask, dict):
        raise ValueError('it has no mask: expected polygons or run lengths')
    size = mask.get('size')
    if (
        not isinstance(size, (list, tuple))
        or len(size) != 2
        or not all(type(side) is int and 0 < side < 2**16 for side in size)
    ):  # pycocotools counts pixels in 32 bits
        raise ValueError(f'its mask has the size {size!r}, which is not [height, width]')
    height, width = size
    runs = _runs(mask.get('counts'))
    if (runs < 0).any() or runs.sum() != height * width:  # the sum can be correct despite a negative run
        raise ValueError(f'the runs of its mask add up to {plural(int(runs.sum()), "pixel")}, not to {height} x {width}')
    encoded = coco_mask.frPyObjects(dict(size=[height, width], counts=runs.tolist()), height, width)
    area = int(coco_mask.area(encoded))
    # For an empty mask, pycocotools may return any box.
    left, top, box_width, box_height = map(int, coco_mask.toBbox(encoded)) if area else (0, 0, 0, 0)
    return MaskExtent((left, top, box_width, box_height), area)


def _outline_extent(polygons: Sequence[Any]) -> MaskExtent:
    if not all(are_numbers(polygon) and len(polygon) % 2 == 0 and len(polygon) >= 6 for polygon in polygons):
        raise ValueError('its outline is not a list of polygons [[x, y, x, y, ...], ...] of three or more points')
    area, corners = 0.0, []
    for polygon in polygons:
        x, y = np.asarray(polygon, np.float64).reshape(-1, 2).T
        area += abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
        corners += [(x.min(), y.min()), (x.max(), y.max())]
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    return MaskExtent((float(left), float(top), float(right - left), float(bottom - top)), area)


def are_numbers(values: Any) -> bool:
    """Return whether values are a sequence of finite numbers within the exact integer range of float64."""
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and all(type(value) in (int, float) and abs(value) < 2**53 and math.isfinite(value) for value in values)
    )


def _runs(counts: Any) -> np.ndarray:
    if isinstance(counts, list):
        if not all(type(count) is int and abs(count) < 2**31 for count in counts):
            raise ValueError('the runs of its mask are not whole numbers of pixels')
        return np.array(counts, np.int64)
    if isinstance(counts, bytes):
        counts = counts.decode('ascii', 'replace')
    if not isinstance(counts, str):
        raise ValueError(f'the runs of its mask are {type(counts).__name__}, neither a string nor a list')
    try:
        return run_lengths(counts)
    except ValueError as error:
        raise ValueError(f'it has a mask {error}') from None


def run_lengths(counts: str) -> np.ndarray:
    """Decode the run lengths of a compressed RLE, as defined by COCO.

    Numbers are written as 5-bit digits, lowest first. Bit 6 of a digit marks that more digits follow; bit 5 of the last digit
    is the sign. From the fourth number on, each is written as its difference from the number two places before it.

    Raises:
        ValueError: if the string is not such a code.
    """
    try:
        digits = np.frombuffer(counts.encode('ascii'), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise ValueError('whose counts are not ASCII text') from None
    if not digits.size or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        raise ValueError('whose counts are truncated or not run lengths')
    ends = np.flatnonzero(digits & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 8:  # 40 bits; no image has so many pixels
        raise ValueError('whose counts are not run lengths')
    places = np.arange(digits.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & 31) << 5 * places, starts)
    numbers -= np.where(digits[ends] & 16, np.left_shift(1, 5 * lengths), 0)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers
