"""From decoded words to stored values: which bits of a word are the value (DICOM PS3.5, section 8.1.1)."""
from typing import Any

import numpy as np

from .dicom_values import whole_number


def stored_values(words: np.ndarray, data: Any, notes: list[str]) -> np.ndarray:
    """Take the values out of their words, as BitsStored, HighBit and PixelRepresentation tell.

    The bits beside a value may hold an overlay. HighBit is believed only where the words do not speak against it: many
    writers leave it at 15 although the values are in the lowest bits.

    Args:
        words: as decoded, any integer type, signed where PixelRepresentation is 1.
        data: pydicom's dataset.
        notes: what was left out, or shifted, is noted here.

    Returns:
        Values of the type of ``words``.

    Raises:
        ValueError: if BitsStored or HighBit are no whole numbers, or BitsStored does not fit the words.
    """
    allocated = 8 * words.dtype.itemsize
    stored = whole_number(data, 'BitsStored', allocated)
    if not 1 <= stored <= allocated:
        raise ValueError(f'has BitsStored {stored}, but words of {allocated} bits')
    high = whole_number(data, 'HighBit', stored - 1)
    lowest = _lowest(words, allocated - stored)
    fits = np.array_equal(lowest, words)
    shift = high + 1 - stored
    if not 0 <= shift <= allocated - stored or (shift and fits):
        notes.append(f'HighBit {high} does not fit BitsStored {stored}: values were taken from the lowest bits, where they lie'
                     if shift and fits else f'HighBit {high} cannot be, with BitsStored {stored} in words of {allocated} bits: '
                     'values were taken from the lowest bits')
        shift = 0
    if shift:
        notes.append(f'HighBit is {high} and BitsStored {stored}: values were shifted down by {shift} bits')
        return _lowest(words >> shift, allocated - stored)
    if not fits:
        notes.append(f'words hold more than the {stored} bits of BitsStored (an overlay?): the others were left out')
    return lowest


def _lowest(words: np.ndarray, unused: int) -> np.ndarray:
    """Keep the lowest bits of words, and repeat the sign where they are signed."""
    return (words << unused) >> unused
