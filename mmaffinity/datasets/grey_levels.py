"""Global mean and standard deviation of grey levels, with which the paper normalises its input."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from mmaffinity.utils.decoding import read_slice

from .parallel import Progress, map_files


def slice_moments(slice_: np.ndarray) -> tuple[int, Fraction, Fraction]:
    """Sum grey levels and their squares over one slice, as a model reads it.

    Args:
        slice_: array of any shape, in units of 8-bit grey levels, 0 to 255.

    Returns:
        Number of pixels, sum, and sum of squares: exact for uint8, computed in float64 for other types.
    """
    if slice_.dtype == np.uint8:  # over its histogram, which is exact and saves two products per pixel
        counts, levels = np.bincount(slice_.ravel(), minlength=256), np.arange(256)
        return slice_.size, Fraction(int(counts @ levels)), Fraction(int(counts @ levels**2))
    levels = slice_.astype(np.float64)
    return slice_.size, Fraction(float(levels.sum())), Fraction(float(np.square(levels).sum()))


def grey_level_statistics(
    slices: Sequence[Any],
    workers: int | None = None,
    progress: Progress | None = None,
    read: Callable[[Any], np.ndarray | None] = read_slice,
) -> dict[str, Any]:
    """Compute mean and standard deviation over all pixels of all slices, with grey levels in [0, 1].

    Each worker holds one slice in memory. The sums of the slices are added without rounding, so the result does not depend on
    the order of the slices or the number of workers, to the last bit.

    Args:
        slices: paths, or other arguments of ``read``.
        workers: see :func:`~mmaffinity.datasets.parallel.map_files`.
        progress: see :func:`~mmaffinity.datasets.parallel.map_files`.
        read: reads one slice in units of 8-bit grey levels, or returns None to leave it out.

    Returns:
        ``mean``, ``std`` (of the population: divided by the number of pixels) and ``num_slices``, the number of slices read.

    Raises:
        FileNotFoundError: if a slice does not exist.
        ValueError: if there are no slices, or one cannot be read.
    """

    def moments_of(item: Any) -> tuple[int, Fraction, Fraction] | None:
        slice_ = read(item)
        return None if slice_ is None else slice_moments(slice_)

    moments = [found for found in map_files(moments_of, slices, workers, progress, 'slices') if found is not None]
    if not moments:
        raise ValueError('there are no slices from which to compute the mean grey level: check the list of training slices')
    num_pixels, total, total_of_squares = (sum(part, Fraction()) for part in zip(*moments, strict=True))
    mean = total / num_pixels
    variance = total_of_squares / num_pixels - mean**2
    # With Fractions, the difference of two nearly equal numbers loses no digits.
    return dict(mean=float(mean / 255), std=float(variance / 255**2) ** 0.5, num_slices=len(moments))
