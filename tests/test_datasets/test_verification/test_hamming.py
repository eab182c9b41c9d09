"""Near pairs of hashes, against a comparison of all with all."""

import numpy as np
import pytest

from mmaffinity.datasets.verification import hamming
from mmaffinity.datasets.verification.hamming import band_masks, count_bits, near_pairs


def brute(a, b, radius):
    return [
        (i, j, bin(int(x) ^ int(y)).count('1'))
        for i, x in enumerate(a)
        for j, y in enumerate(b)
        if bin(int(x) ^ int(y)).count('1') <= radius
    ]


def hashes(random, number, centres):
    """Hashes a few bits from one of some centres, with 20 bits that are the same for all."""
    flips = (random.random((number, 64)) < 0.07) & (np.arange(64) >= 20)
    bits = centres[random.integers(0, len(centres), number)] ^ flips
    return np.packbits(bits, axis=1).view('>u8')[:, 0].astype(np.uint64)


@pytest.mark.parametrize('radius', [0, 1, 4, 6, 15])
@pytest.mark.parametrize('block', [7, 1 << 20])
def test_equals_comparison_of_all(monkeypatch, radius, block):
    monkeypatch.setattr(hamming, '_BLOCK', block)
    random = np.random.default_rng(radius)
    centres = random.random((6, 64)) < 0.5
    centres[:, :20] = centres[0, :20]
    a, b = hashes(random, 90, centres), hashes(random, 70, centres)
    b[:3] = a[:3]
    pairs, cut = near_pairs(a, b, radius)
    expected = brute(a, b, radius)
    assert [tuple(pair) for pair in pairs.tolist()] == expected and len(expected) >= 3 and not cut


def test_bands_split_all_bits_and_deal_out_the_telling_ones():
    random = np.random.default_rng(0)
    bits = random.random((500, 64)) < 0.5
    bits[:, :40] = True  # tell nothing
    values = np.packbits(bits, axis=1).view('>u8')[:, 0].astype(np.uint64)
    masks = [int(mask) for mask in band_masks(values, 5)]
    assert sum(masks) == 2**64 - 1 and all(masks[i] & masks[j] == 0 for i in range(5) for j in range(i))
    telling = [bin(mask & (2**24 - 1)).count('1') for mask in masks]  # the last 24 columns are the lowest bits
    assert sorted(telling) == [4, 5, 5, 5, 5]


def test_count_bits():
    values = np.array([0, 1, 2**64 - 1, 0x8000000000000001, 0xF0F0], np.uint64)
    assert count_bits(values).tolist() == [0, 1, 64, 2, 8]


def test_few_pairs_are_compared(monkeypatch):
    """20 000 and 20 000 hashes make 4e8 pairs; of those, less than one in a hundred is looked at."""
    random = np.random.default_rng(1)
    a, b = random.integers(0, 2**64, (2, 20_000), np.uint64)
    b[:50] = a[:50] ^ np.uint64(0b1011)
    looked_at = []
    sharing = hamming._sharing

    def counted(left, right):
        for pair in sharing(left, right):
            looked_at.append(len(pair[0]))
            yield pair

    monkeypatch.setattr(hamming, '_sharing', counted)
    pairs, _ = near_pairs(a, b, 4)
    assert [tuple(pair) for pair in pairs.tolist()] == [(i, i, 3) for i in range(50)]
    assert sum(looked_at) < 4e6


def test_confirmation_and_limit():
    a, b = np.zeros(10, np.uint64), np.zeros(20, np.uint64)
    pairs, cut = near_pairs(a, b, 2, lambda left, right: left == right)
    assert pairs.tolist() == [[i, i, 0] for i in range(10)] and not cut
    pairs, cut = near_pairs(a, b, 2, limit=30)
    assert len(pairs) == 30 and cut
    assert near_pairs(a[:0], b, 2)[0].shape == (0, 3) and near_pairs(a, b[:0], 2)[0].shape == (0, 3)
    with pytest.raises(ValueError, match='radius=16'):
        near_pairs(a, b, 16)
