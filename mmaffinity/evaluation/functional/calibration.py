"""Calibration of probabilities: reliability, expected calibration error, temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from .bootstrap import Resampler

NUM_BINS = 15
# Limits the temperature to 1/20..20; without validation errors, its optimum would be 0.
LOG_LIMIT = float(np.log(20))
# Keeps logits finite if only float32 probabilities are stored.
SMALLEST = 1e-7


@dataclass(frozen=True)
class Reliability:
    """Counts by confidence, the probability of the predicted class, in bins of equal width over [0, 1].

    Attributes:
        count: slices in each bin, shape (bins,).
        confidence: mean confidence in each bin, NaN where empty.
        accuracy: share of correct predictions in each bin, NaN where empty.
        ece: expected calibration error, the mean of |accuracy - confidence| of the bins, weighted by their slices.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float

    def as_dict(self) -> dict[str, Any]:
        """Return the bins as plain data, with None for NaN."""
        confidence, accuracy = (
            [None if np.isnan(value) else float(value) for value in values] for values in (self.confidence, self.accuracy)
        )
        return dict(count=self.count.tolist(), confidence=confidence, accuracy=accuracy, ece=self.ece)


def reliability(confidence: np.ndarray, correct: np.ndarray, num_bins: int = NUM_BINS) -> Reliability:
    """Bin predictions by confidence.

    Args:
        confidence: probability of the predicted class, shape (N,).
        correct: whether the prediction is correct, shape (N,).
        num_bins: number of bins of equal width; a value on a boundary belongs to the lower bin.

    Raises:
        ValueError: if there are no predictions, or a confidence is outside [0, 1].
    """
    sums = _bin_values(confidence, correct, num_bins).sum(0).reshape(3, num_bins)
    with np.errstate(invalid='ignore', divide='ignore'):
        means = sums[1:] / sums[0]
    return Reliability(sums[0].astype(np.int64), means[0], means[1], float(_ece(sums[None])[0]))


def resampled_ece(confidence: np.ndarray, correct: np.ndarray, resampler: Resampler) -> np.ndarray:
    """Return the expected calibration error in each resample, shape (B,)."""
    return _ece(resampler.sums(_bin_values(confidence, correct, NUM_BINS)).reshape(-1, 3, NUM_BINS))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T that minimises the per-class cross-entropy (Eq. 9) of sigmoid(logits / T) on validation slices.

    Dividing all logits by one positive number preserves their order and thus the decisions; it only makes the probabilities
    more or less extreme. T is restricted to [0.05, 20].

    Args:
        logits: shape (N, K).
        labels: shape (N,).

    Raises:
        ValueError: if there are no slices, or a logit is not finite.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if not len(logits) or not np.isfinite(logits).all():
        raise ValueError('a temperature needs at least one validation slice, and finite logits')
    signs = np.where(labels[:, None] == np.arange(logits.shape[1]), -1.0, 1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, signs * logits * np.exp(-log_temperature)).mean())

    found = minimize_scalar(loss, bounds=(-LOG_LIMIT, LOG_LIMIT), method='bounded')
    return float(np.exp(found.x))


def calibrated(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities sigmoid(logits / T), in the shape of the logits."""
    return expit(np.asarray(logits, dtype=np.float64) / temperature)


def logits_of(scores: np.ndarray) -> np.ndarray:
    """Return the logits of probabilities, clipped to [1e-7, 1 - 1e-7]."""
    return logit(np.clip(np.asarray(scores, dtype=np.float64), SMALLEST, 1 - SMALLEST))


def _bin_values(confidence: np.ndarray, correct: np.ndarray, num_bins: int) -> np.ndarray:
    """Return, for each record, one-hot bins of its count, confidence and correctness, shape (N, 3 * bins)."""
    confidence = np.asarray(confidence, dtype=np.float64)
    if not len(confidence) or not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError('calibration needs at least one prediction, and confidences in [0, 1]')
    place = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    inside = place[:, None] == np.arange(num_bins)
    return np.concatenate([inside, inside * confidence[:, None], inside & np.asarray(correct, bool)[:, None]], axis=1)


def _ece(sums: np.ndarray) -> np.ndarray:
    """Return the ECE from sums of counts, confidences and correct predictions by bin, shape (B, 3, bins)."""
    return np.abs(sums[:, 2] - sums[:, 1]).sum(-1) / sums[:, 0].sum(-1)
