"""Pictures that look nearly the same: close perceptual hashes and correlated thumbnails."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .hamming import MAX_RADIUS, Confirm, near_pairs
from .image_facts import THUMB_SIDE, FileFacts

_BLOCK = 1 << 14  # pairs whose pictures are compared at once, 16 MB a side


@dataclass(frozen=True)
class Near:
    """What counts as nearly the same picture.

    On real CT, copies (recoded, scaled, brightened) are within 6 bits and correlate by 0.995 and more, as most
    neighbouring slices of a scan do, and pairs of different patients never met both.

    Attributes:
        radius: bits in which the hashes may differ, of 64.
        correlation: that the pictures at 16 x 16 must reach at least.

    Raises:
        ValueError: if the radius is not within 0..15, or the correlation not above 0 and at most 1.
    """

    radius: int = 6
    correlation: float = 0.995

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= MAX_RADIUS:
            raise ValueError(
                f'the bits in which near-identical slices may differ are {self.radius}; they must be within 0..{MAX_RADIUS}'
            )
        if not 0 < self.correlation <= 1:
            raise ValueError(
                f'the correlation of near-identical slices is {self.correlation}; it must be above 0 and at most 1'
            )


class Thumbnails:
    """Hashes and pictures at 16 x 16 of files that are not blank.

    Args:
        facts: of the files; each has a hash and a thumbnail.

    Attributes:
        hashes: uint64, shape (n,).
        values: float32, shape (n, 256), of mean 0 and length 1: a product is a correlation.
    """

    def __init__(self, facts: Sequence[FileFacts]) -> None:
        self.hashes = np.array([item.hash for item in facts], np.uint64)
        values = np.frombuffer(b''.join(item.thumb or b'' for item in facts), np.uint8).astype(np.float32)
        values = values.reshape(len(facts), THUMB_SIDE * THUMB_SIDE)
        values -= values.mean(1, keepdims=True)
        self.values = values / np.linalg.norm(values, axis=1, keepdims=True)

    def near(self, others: 'Thumbnails', near: Near, also: Confirm, limit: int | None = None) -> tuple[np.ndarray, bool]:
        """Find the pairs of one of these and one of the others that look nearly the same.

        Args:
            others: may be the same.
            near: what counts as nearly the same.
            also: what else a pair has to fulfil, see :func:`~.hamming.near_pairs`.
            limit: end the search when that many pairs are found.

        Returns:
            As :func:`~.hamming.near_pairs`.
        """

        def confirm(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            keep = also(left, right)
            for start in range(0, len(left), _BLOCK):
                block = slice(start, start + _BLOCK)
                likeness = np.einsum('ij,ij->i', self.values[left[block]], others.values[right[block]])
                keep[block] &= likeness >= near.correlation
            return keep

        return near_pairs(self.hashes, others.hashes, near.radius, confirm, limit)


def near_groups(facts: Sequence[FileFacts], near: Near) -> list[int]:
    """Group files such that those that look nearly the same, directly or through others, are together.

    Blank pictures, and files that cannot be read, are groups of their own.

    Args:
        facts: of the files.
        near: what counts as nearly the same.

    Returns:
        Of each file, the index of the first file in its group.
    """
    places = np.array([place for place, item in enumerate(facts) if item.thumb is not None], np.int64)
    thumbnails = Thumbnails([facts[place] for place in places])
    pairs, _ = thumbnails.near(thumbnails, near, lambda left, right: left < right)
    ends = places[pairs[:, 0]], places[pairs[:, 1]]
    graph = coo_array((np.ones(len(pairs), bool), ends), shape=(len(facts), len(facts)))
    _, labels = connected_components(graph, directed=False)
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return first[group].tolist()
