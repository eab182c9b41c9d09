"""Extract stored values from the bits of decoded words (DICOM PS3.5, section 8.1.1)."""

from typing import Any

import numpy as np

from .dicom_values import whole_number


def stored_values(words: np.ndarray, data: Any, notes: list[str]) -> np.ndarray:
    """Extract values from words, according to BitsStored, HighBit and PixelRepresentation.

    The bits next to a value may contain an overlay. HighBit is used only if the words do not contradict it: many writers leave
    it at 15 although the values are in the lowest bits.

    Args:
        words: decoded words of any integer type, signed if PixelRepresentation is 1.
        data: pydicom's dataset.
        notes: receives notes on removed bits and shifts.

    Returns:
        Values of the type of ``words``.

    Raises:
        ValueError: if BitsStored or HighBit are not whole numbers, or BitsStored does not match the words.
    """
    allocated = 8 * words.dtype.itemsize
    stored = whole_number(data, 'BitsStored', allocated)
    if not 1 <= stored <= allocated:
        raise ValueError(f'has BitsStored {stored}, but its pixels have {allocated} bits')
    high = whole_number(data, 'HighBit', stored - 1)
    lowest = _lowest(words, allocated - stored)
    # Signed values may lack sign extension, as from decoders of unsigned code streams.
    plain = words.view(f'u{words.dtype.itemsize}')
    fits = np.array_equal(lowest, words) or int(plain.max()) < 1 << stored
    shift = high + 1 - stored
    if shift < 0 or high >= allocated or (shift and fits and np.any(words & ((1 << shift) - 1))):
        notes.append(
            f'HighBit {high} does not match BitsStored {stored} and pixels of {allocated} bits: values were read '
            'from the lowest bits'
        )
    elif shift:
        notes.append(f'HighBit is {high} and BitsStored {stored}: values were shifted down by {shift} bits')
        return _lowest(words >> shift, allocated - stored)
    if not fits:
        notes.append(f'pixels contain more than the {stored} bits of BitsStored (an overlay?): the other bits were ignored')
    return lowest


def _lowest(words: np.ndarray, unused: int) -> np.ndarray:
    """Keep the lowest bits of each word, with sign extension if the words are signed."""
    return (words << unused) >> unused
