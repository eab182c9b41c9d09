"""Pairs of 64-bit hashes that differ in few bits, without comparing all with all."""

from collections.abc import Callable, Iterator

import numpy as np

MAX_RADIUS = 15  # bits; beyond, bands get so short that all pairs are compared
_BLOCK = 1 << 20  # pairs compared at a time, 8 MB per column
Confirm = Callable[[np.ndarray, np.ndarray], np.ndarray]


def near_pairs(
    a: np.ndarray, b: np.ndarray, radius: int, confirm: Confirm | None = None, limit: int | None = None
) -> tuple[np.ndarray, bool]:
    """Find all pairs of a hash of ``a`` and one of ``b`` at a Hamming distance of at most ``radius``.

    The bits are divided into radius + 1 bands. Two hashes that differ in ``radius`` bits agree in at least one band, so only
    hashes with an equal band are compared. Bits that are nearly constant over all hashes do not discriminate, so each band gets
    its share of discriminating bits.

    Args:
        a: shape (n,), uint64.
        b: shape (m,), uint64.
        radius: bits, 0 to 15.
        confirm: decides which pairs to keep, from indices into a and b, shape (k,); returns bool, shape (k,).
        limit: stop the search after this many pairs.

    Returns:
        Rows (index into a, index into b, distance), int64, shape (number, 3), sorted; and whether the limit cut it off.

    Raises:
        ValueError: if the radius is out of range.
    """
    if not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f'radius={radius} must be within 0..{MAX_RADIUS} bits')
    a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
    found: list[np.ndarray] = []
    number = 0
    masks = band_masks(np.concatenate([a, b]), radius + 1)
    for band, mask in enumerate(masks):
        for left, right in _sharing(a & mask, b & mask):
            difference = a[left] ^ b[right]
            # A pair that agrees in several bands is used in the first of them.
            new = np.ones(len(left), bool)
            for earlier in masks[:band]:
                new &= (difference & earlier) != 0
            distance = count_bits(difference)
            keep = np.flatnonzero(new & (distance <= radius))
            if confirm is not None and len(keep):
                keep = keep[confirm(left[keep], right[keep])]
            if len(keep):
                found.append(np.stack([left[keep], right[keep], distance[keep]], 1))
                number += len(keep)
                if limit is not None and number >= limit:
                    return _sorted(found)[:limit], True
    return _sorted(found), False


def band_masks(hashes: np.ndarray, bands: int) -> list[np.uint64]:
    """Divide the 64 bits into bands, most discriminating bits first: those set in closest to half of the hashes.

    Args:
        hashes: shape (n,), uint64.
        bands: number of bands, 1 to 64.

    Returns:
        A mask per band; they are disjoint and cover all bits.
    """
    share = np.array([np.mean((hashes >> np.uint64(bit)) & np.uint64(1)) if len(hashes) else 0.5 for bit in range(64)])
    masks = [0] * bands
    for place, bit in enumerate(np.argsort(np.abs(share - 0.5), kind='stable').tolist()):
        masks[place % bands] |= 1 << bit
    return [np.uint64(mask) for mask in masks]


def count_bits(values: np.ndarray) -> np.ndarray:
    """Number of set bits of each uint64, same shape, int64; computed by halves, because NumPy before 2 lacks this function."""
    values = values - ((values >> np.uint64(1)) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    values = (values & pairs) + ((values >> np.uint64(2)) & pairs)
    values = (values + (values >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((values * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def _sharing(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield index pairs of equal values, in blocks."""
    order = np.argsort(b, kind='stable')
    ordered = b[order]
    first = np.searchsorted(ordered, a, 'left')
    counts = np.searchsorted(ordered, a, 'right') - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(a):
        base = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, base + _BLOCK, 'right')))
        block = counts[start:stop]
        total = int(block.sum())
        if total:
            left = np.repeat(np.arange(start, stop), block)
            within = np.arange(total) - np.repeat(np.cumsum(block) - block, block)
            yield left, order[np.repeat(first[start:stop], block) + within]
        start = stop


def _sorted(found: list[np.ndarray]) -> np.ndarray:
    pairs = np.concatenate(found) if found else np.empty((0, 3), np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
