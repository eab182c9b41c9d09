"""Scores of many confusion matrices at once, for the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion_scores(confusion: np.ndarray, class_weights: str | Sequence[float] = 'share') -> dict[str, np.ndarray]:
    """Compute sensitivity, precision, specificity and F1 per class, and the overall scores of confusion matrices.

    The definitions are those of :func:`classification_report`, with NaN for an undefined ratio. There are two more scores,
    both by scikit-learn's convention: 'balanced_accuracy', the mean sensitivity of the classes that occur, and 'mcc', the
    Matthews correlation coefficient for K classes, which is 0 if only one class occurs or is predicted.

    Args:
        confusion: counts, rows true class, columns predicted class, shape (..., K, K); weighted counts need not be integers.
        class_weights: as for :func:`classification_report`.

    Returns:
        'sensitivity', 'precision', 'specificity', 'f1_per_class' of shape (..., K) and 'f1', 'accuracy',
        'balanced_accuracy', 'mcc' of shape (...).
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    truth, predicted, total = counts.sum(-1), counts.sum(-2), counts.sum((-2, -1))
    all_slices = total[..., None]
    sensitivity = _ratio(hits, truth)
    f1 = _ratio(2 * hits, truth + predicted)
    weights = _ratio(truth, all_slices) if isinstance(class_weights, str) else np.asarray(class_weights, np.float64)
    occurs = np.isfinite(sensitivity)
    correct = hits.sum(-1)
    spread = np.sqrt((total**2 - (truth**2).sum(-1)) * (total**2 - (predicted**2).sum(-1)))
    mcc = _ratio(correct * total - (truth * predicted).sum(-1), spread)
    return dict(
        sensitivity=sensitivity,
        precision=_ratio(hits, predicted),
        specificity=_ratio(all_slices - truth - predicted + hits, all_slices - truth),
        f1_per_class=f1,
        f1=(weights * np.nan_to_num(f1)).sum(-1),
        accuracy=_ratio(correct, total),
        balanced_accuracy=_ratio(np.nan_to_num(sensitivity).sum(-1), occurs.sum(-1)),
        mcc=np.where(np.isfinite(total), np.nan_to_num(mcc), np.nan),
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
