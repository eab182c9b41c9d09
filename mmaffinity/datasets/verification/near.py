"""Near-identical images: similar perceptual hashes and correlated thumbnails."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .image_facts import THUMB_SIDE, FileFacts

MAX_RADIUS = 15  # bits; unrelated chest images can be this close
_AXES = 12  # principal axes used to search thumbnails; more take longer, fewer yield more candidates
_BLOCK = 64  # thumbnails searched at a time
Confirm = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Near:
    """Criteria for near-identical images.

    On real CT, copies (recoded, scaled, brightened) are within 6 bits and have a correlation of at least 0.995, as do most
    neighbouring slices of a scan. No pair of slices of different patients met both criteria.

    Attributes:
        radius: largest number of bits, out of 64, in which the hashes may differ.
        correlation: smallest correlation of the 16 x 16 thumbnails.

    Raises:
        ValueError: if the radius is not within 0..15, or the correlation is not above 0 and at most 1.
    """

    radius: int = 6
    correlation: float = 0.995

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= MAX_RADIUS:
            raise ValueError(f'the radius of near-identical slices is {self.radius} bits; it must be within 0..{MAX_RADIUS}')
        if not 0 < self.correlation <= 1:
            raise ValueError(
                f'the correlation of near-identical slices is {self.correlation}; it must be above 0 and at most 1'
            )


class NearPairs(NamedTuple):
    """Pairs of near-identical images, sorted.

    Attributes:
        places: indices of both images, shape (n, 2).
        bits: number of bits in which their hashes differ, shape (n,).
        correlations: correlation of their thumbnails, shape (n,).
        cut: whether the search stopped at the limit.
    """

    places: np.ndarray
    bits: np.ndarray
    correlations: np.ndarray
    cut: bool


class Thumbnails:
    """Hashes and 16 x 16 thumbnails of files that are not blank.

    Args:
        facts: facts of the files; each has a hash and a thumbnail.

    Attributes:
        hashes: uint64, shape (n,).
        values: float32, shape (n, 256), rows of mean 0 and length 1, so that the dot product of two is their correlation.
    """

    def __init__(self, facts: Sequence[FileFacts]) -> None:
        self.hashes = np.array([item.hash for item in facts], np.uint64)
        values = np.frombuffer(b''.join(item.thumb or b'' for item in facts), np.uint8).astype(np.float32)
        values = values.reshape(len(facts), THUMB_SIDE * THUMB_SIDE)
        values -= values.mean(1, keepdims=True)
        self.values = values / np.linalg.norm(values, axis=1, keepdims=True)

    def near(self, others: 'Thumbnails', near: Near, also: Confirm | None = None, limit: int | None = None) -> NearPairs:
        """Find the near-identical pairs of one of these images and one of ``others``.

        Args:
            others: the other images; may be the same object.
            near: criteria.
            also: further condition; takes the indices of both images, shape (k,) each, and returns bool, shape (k,).
            limit: largest number of pairs, at which the search stops.
        """
        found = [(np.empty((0, 2), np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
        number = 0
        # Vectors of length 1 with correlation c are sqrt(2 - 2 c) apart; the added margin covers rounding.
        for left, right in _candidates(self.values, others.values, (2 - 2 * near.correlation) ** 0.5 + 1e-3):
            correlations = np.einsum('ij,ij->i', self.values[left], others.values[right])
            difference = self.hashes[left] ^ others.hashes[right]
            bits = np.unpackbits(difference.view(np.uint8).reshape(-1, 8), axis=1).sum(1, dtype=np.int64)
            keep = (correlations >= near.correlation) & (bits <= near.radius)
            if also is not None:
                keep &= also(left, right)
            found.append((np.stack([left, right], 1)[keep], bits[keep], correlations[keep]))
            number += int(keep.sum())
            if limit is not None and number >= limit:
                break
        cut = limit is not None and number >= limit
        places, bits, correlations = (np.concatenate(part)[:limit] for part in zip(*found, strict=True))
        return NearPairs(places, bits, correlations, cut)


def _candidates(a: np.ndarray, b: np.ndarray, reach: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, block by block, the indices of all pairs of rows of ``a`` and ``b`` at most ``reach`` apart, and of some others.

    A projection onto the principal axes never increases a distance, so no pair is missed.
    """
    if not len(a) or not len(b):
        return
    from scipy.spatial import KDTree  # imported here, because commands need only Near from this file

    together = a.T @ a + b.T @ b
    axes = np.linalg.eigh(together)[1][:, -_AXES:]
    tree = KDTree(b @ axes)
    for start in range(0, len(a), _BLOCK):
        rows = tree.query_ball_point(a[start : start + _BLOCK] @ axes, reach, return_sorted=True)
        yield (
            np.repeat(np.arange(start, start + len(rows)), [len(row) for row in rows]),
            np.concatenate([np.array(row, np.int64) for row in rows]),
        )


def near_groups(facts: Sequence[FileFacts], near: Near) -> list[int]:
    """Group files so that near-identical ones are together, directly or through others.

    Each blank or unreadable file is a group of its own.

    Args:
        facts: facts of the files.
        near: criteria for near-identical images.

    Returns:
        For each file, the index of the first file in its group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places = np.array([place for place, item in enumerate(facts) if item.thumb is not None], np.int64)
    thumbnails = Thumbnails([facts[place] for place in places])
    pairs = thumbnails.near(thumbnails, near, np.less).places
    graph = coo_array((np.ones(len(pairs), bool), tuple(places[pairs].T)), shape=(len(facts), len(facts)))
    _, labels = connected_components(graph, directed=False)
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return first[group].tolist()
