"""Extraction of stored values from words."""

from types import SimpleNamespace

import numpy as np
import pytest
from scan_helpers import chest

from mmaffinity.scans.stored_bits import stored_values

UNSIGNED = (chest() + 1024).astype(np.uint16)  # 24 to 1624
SIGNED = chest().astype(np.int16)
OVERLAY = np.indices(UNSIGNED.shape).sum(axis=0) % 7 == 0


class Header(SimpleNamespace):
    def get(self, keyword):
        return getattr(self, keyword, None)


def values_of(words, stored, high):
    notes: list[str] = []
    return stored_values(words, Header(BitsStored=stored, HighBit=high), notes), ' '.join(notes)


@pytest.mark.parametrize('values', [UNSIGNED, SIGNED])
@pytest.mark.parametrize('stored', [12, 13, 16])
def test_values_in_the_lowest_bits(values, stored):
    found, notes = values_of(values, stored, stored - 1)
    assert np.array_equal(found, values) and found.dtype == values.dtype and not notes


@pytest.mark.parametrize('bit', [12, 13, 15])
def test_overlay_in_the_high_bits_is_ignored(bit):
    for values in (UNSIGNED, SIGNED):
        words = (values.view(np.uint16) & 0xFFF | OVERLAY.astype(np.uint16) << bit).view(values.dtype)
        found, notes = values_of(words, 12, 11)
        assert np.array_equal(found, values) and 'an overlay?' in notes


@pytest.mark.parametrize('high, low_overlay', [(12, False), (13, False), (15, False), (13, True), (15, True)])
def test_high_bit_shifts_the_values(high, low_overlay):
    for values in (UNSIGNED, SIGNED):
        words = (values.view(np.uint16) & 0xFFF) << (high - 11) | (OVERLAY if low_overlay else 0)
        found, notes = values_of(words.astype(np.uint16).view(values.dtype), 12, high)
        assert np.array_equal(found, values) and f'shifted down by {high - 11} bits' in notes


def test_signed_values_without_sign_extension():
    found, notes = values_of((SIGNED.view(np.uint16) & 0xFFF).view(np.int16), 12, 11)
    assert np.array_equal(found, SIGNED) and not notes


@pytest.mark.parametrize('high', [3, 14, 15, 16, 99])
def test_contradicted_high_bit_is_ignored(high):
    for values in (UNSIGNED, SIGNED):
        found, notes = values_of(values, 12, high)
        assert np.array_equal(found, values) and f'HighBit {high} does not match' in notes


def test_invalid_bits_stored():
    for stored in (0, 17):
        with pytest.raises(ValueError, match=f'BitsStored {stored}, but its pixels have 16 bits'):
            values_of(UNSIGNED, stored, 11)
    with pytest.raises(ValueError, match="HighBit 'x', which is not a whole number"):
        values_of(UNSIGNED, 12, 'x')
    assert np.array_equal(values_of(UNSIGNED, 12, None)[0], UNSIGNED)
