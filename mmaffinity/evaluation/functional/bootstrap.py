"""Bootstrap confidence intervals over patients, or over slices if patients are unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

LEVEL = 0.95
SAME = 1e-9  # width below which an interval counts as a point
POINT = 'the interval has zero width, because all resamples have the same value; other data may well differ'
CHUNK_VALUES = 2_000_000  # weights expanded at a time, so that memory does not grow with resamples x slices


@dataclass(frozen=True)
class Resampler:
    """Resampling of units (patients or slices) with replacement; runs on the same list have the same resamples.

    Slices of one patient look alike, so resampling slices as if they were independent yields intervals that are too narrow. A
    resampled patient therefore contributes all its slices.

    Attributes:
        unit_of: unit of each of N records, 0 .. P - 1, shape (N,).
        kind: 'patients', 'slices', or 'patients, and slices of unknown patients'.
        num_resamples: B.
        seed: seed of the draws.
    """

    unit_of: np.ndarray
    kind: str
    num_resamples: int = 1000
    seed: int = 0

    @classmethod
    def of(cls, patients: Sequence[str | None], num_resamples: int = 1000, seed: int = 0) -> Resampler:
        """Resample by patient; a record whose patient is None is its own unit.

        Raises:
            ValueError: if there are no records, the number of resamples is below 1, or the seed is negative.
        """
        if not len(patients):
            raise ValueError('there are no records to resample')
        if num_resamples < 1:
            raise ValueError(f'the number of resamples must be at least 1, not {num_resamples}')
        if seed < 0:
            raise ValueError(f'the seed must be 0 or more, not {seed}')
        known = sum(patient is not None for patient in patients)
        names = [
            ('patient', str(patient)) if patient is not None else ('slice', index) for index, patient in enumerate(patients)
        ]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        kind = 'slices' if not known else 'patients' if known == len(patients) else 'patients, and slices of unknown patients'
        return cls(np.array([numbers[name] for name in names]), kind, num_resamples, seed)

    @property
    def num_units(self) -> int:
        return int(self.unit_of.max()) + 1

    @cached_property
    def weights(self) -> np.ndarray:
        """How often each resample contains each unit, shape (B, P), uint16."""
        num, random = self.num_units, np.random.default_rng(self.seed)
        rows = [np.bincount(random.integers(num, size=num), minlength=num) for _ in range(self.num_resamples)]
        return np.array(rows, dtype=np.uint16)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum per-record values over each resample.

        Args:
            values: shape (N, M).

        Returns:
            Shape (B, M), float64.
        """
        values = np.asarray(values, dtype=np.float64)
        per_unit = np.stack(
            [np.bincount(self.unit_of, weights=column, minlength=self.num_units) for column in values.T], axis=1
        )
        step = max(1, CHUNK_VALUES // self.num_units)
        return np.concatenate(
            [self.weights[start : start + step].astype(np.float64) @ per_unit for start in range(0, self.num_resamples, step)]
        )

    def record_weights(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Yield, for b resamples at a time, the weights of the records in ``order``, shape (b, N), float64."""
        units = self.unit_of[order]
        step = max(1, CHUNK_VALUES // max(len(units), 1))
        for start in range(0, self.num_resamples, step):
            yield self.weights[start : start + step][:, units].astype(np.float64)


@dataclass(frozen=True)
class Estimate:
    """A value with its interval. ``value`` is None if undefined, and ``note`` then states why.

    Attributes:
        value: the value on the original data; over several runs, their mean.
        low, high: ends of the 95 % percentile interval; None without one. Over several runs, the lowest and highest value.
        note: footnote for the table, or None.
        std: standard deviation over several runs; otherwise None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None
    std: float | None = None


def interval(
    value: float | None, samples: np.ndarray, num_units: int, kind: str = 'units', undefined: str | None = None
) -> Estimate:
    """Compute the 95 % percentile interval of bootstrap samples.

    Args:
        value: the value; None or NaN if undefined.
        samples: its values in B resamples, NaN where undefined, shape (B,).
        num_units: P; a single unit has no interval.
        kind: name of the units.
        undefined: why the value is undefined, if it is.

    Returns:
        The estimate. The interval excludes resamples in which the value is undefined. A note is added if these are more than
        5 %, or if the interval has zero width, as for a class whose slices are all classified correctly.
    """
    if value is None or not np.isfinite(value):
        return Estimate(None, note=undefined or 'undefined')
    if num_units < 2:
        return Estimate(float(value), note=f'no interval: it needs at least two {kind}, and there is only one')
    defined = samples[np.isfinite(samples)]
    if not len(defined):
        return Estimate(float(value), note='no interval: undefined in every resample')
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    share = 1 - len(defined) / len(samples)
    note = f'undefined in {share:.0%} of the resamples, which the interval excludes' if share > 0.05 else None
    if high - low < SAME:
        note = f'{POINT}; {note}' if note else POINT
    return Estimate(float(value), float(low), float(high), note)


def paired_difference(
    first: Estimate,
    second: Estimate,
    first_samples: np.ndarray,
    second_samples: np.ndarray,
    num_units: int,
    kind: str = 'units',
) -> Estimate:
    """Return the difference first - second of two runs on the same list, from the same resamples.

    Both runs see the same patients in each resample, so the variation in difficulty that they share cancels out. Comparing two
    separate intervals would hide small but consistent differences.
    """
    if first.value is None or second.value is None:
        return Estimate(None, note='undefined, because one of the two values is')
    if first.low is None or second.low is None:
        return Estimate(first.value - second.value, note=first.note or second.note)
    return interval(first.value - second.value, first_samples - second_samples, num_units, kind)
