"""Aggregation of slice predictions to scans and patients."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Aggregate:
    """Combined slice predictions of each scan or patient.

    Attributes:
        units: the U scans or patients, in the order of their first slice.
        labels: true class of each unit, shape (U,).
        mean_scores: mean probability of each class over the slices, shape (U, K); None without probabilities.
        shares: share of the slices predicted as each class, shape (U, K).
        mixed: units left out because their slices have different true classes.
        first: index of the first slice of each unit, shape (U,).
    """

    units: tuple[Hashable, ...]
    labels: np.ndarray
    mean_scores: np.ndarray | None
    shares: np.ndarray
    mixed: tuple[Hashable, ...]
    first: np.ndarray

    @property
    def by_share(self) -> np.ndarray:
        """Class predicted for the most slices, ties broken by mean probability, shape (U,)."""
        tie_break = 0 if self.mean_scores is None else self.mean_scores / (self.mean_scores.sum(1, keepdims=True) + 1)
        # Different shares differ by at least 1 / number of slices, far more than the tie-break.
        return (self.shares + 1e-9 * tie_break).argmax(1)


def aggregate(
    units: Sequence[Hashable], labels: np.ndarray, predictions: np.ndarray, num_classes: int, scores: np.ndarray | None = None
) -> Aggregate:
    """Combine slices by scan or patient.

    Args:
        units: scan or patient of each of N slices.
        labels, predictions: true and predicted classes of the slices, shape (N,).
        num_classes: K.
        scores: probabilities, shape (N, K).

    Returns:
        One entry per unit. The class of a unit is that of its slices; units with slices of several classes are left out.

    Raises:
        ValueError: if there are no slices.
    """
    if not len(units):
        raise ValueError('there are no slices to aggregate')
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    index = np.array([numbers[unit] for unit in units])
    size = np.bincount(index)
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    _, first = np.unique(index, return_index=True)
    pure = np.bincount(index, weights=labels != labels[first][index]) == 0

    def mean(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(index, weights=column) / size for column in values.T.astype(np.float64)], axis=1)

    names = list(numbers)
    shares = mean(predictions[:, None] == np.arange(num_classes))[pure]
    return Aggregate(
        units=tuple(name for name, keep in zip(names, pure) if keep),
        labels=labels[first][pure],
        mean_scores=None if scores is None else mean(np.asarray(scores))[pure],
        shares=shares,
        mixed=tuple(name for name, keep in zip(names, pure) if not keep),
        first=first[pure],
    )
