"""Area under the ROC curve and average precision of one class versus the rest, also for many resamples at once."""

from __future__ import annotations

import numpy as np

from mmaffinity.utils.optional import require

from .bootstrap import Resampler


def ranking_scores(scores: np.ndarray, positive: np.ndarray) -> tuple[float | None, float | None]:
    """Compute ROC AUC and average precision with scikit-learn.

    Args:
        scores: scores of the class, higher means more likely, shape (N,).
        positive: whether each record is of the class, shape (N,).

    Returns:
        AUC, None if all or no records are of the class, and average precision, None if no record is.
    """
    metrics = require('sklearn.metrics', 'report')
    positive = np.asarray(positive, dtype=bool)
    if not positive.any():
        return None, None
    precision = float(metrics.average_precision_score(positive, scores))
    return (None if positive.all() else float(metrics.roc_auc_score(positive, scores))), precision


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of the ROC curve of one class versus the rest.

    Args:
        scores: scores of the class, higher means more likely, shape (N,).
        positive: whether each record is of the class, shape (N,); must contain both True and False.

    Returns:
        False and true positive rates, increasing from (0, 0) to (1, 1), one point per distinct score.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind='stable')
    ranked, hits = np.asarray(scores)[order], np.asarray(positive, dtype=bool)[order]
    ends = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))
    true, false = hits.cumsum()[ends], (~hits).cumsum()[ends]
    return np.concatenate([[0], false / false[-1]]), np.concatenate([[0], true / true[-1]])


def resampled_ranking_scores(scores: np.ndarray, positive: np.ndarray, resampler: Resampler) -> tuple[np.ndarray, np.ndarray]:
    """Compute ROC AUC and average precision in each resample, as in :func:`ranking_scores`, including ties.

    One sort serves all resamples, because a resample only changes the weights of the records.

    Returns:
        Two arrays of shape (B,), NaN where undefined.
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    order = np.argsort(-scores, kind='stable')
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    tied = len(starts) < len(ranked)
    is_positive = positive[order].astype(np.float64)
    areas, precisions = [], []
    for weights in resampler.record_weights(order):
        hits = weights * is_positive
        if tied:
            weights, hits = np.add.reduceat(weights, starts, axis=1), np.add.reduceat(hits, starts, axis=1)
        seen, found = weights.cumsum(1), hits.cumsum(1)
        total_hits = found[:, -1].copy()
        misses = weights - hits
        with np.errstate(invalid='ignore', divide='ignore'):
            # Half of the tied pairs count as correctly ordered.
            pairs = np.einsum('bn,bn->b', misses, found) - 0.5 * np.einsum('bn,bn->b', misses, hits)
            areas.append(pairs / (total_hits * (seen[:, -1] - total_hits)))
            np.divide(found, seen, out=found, where=seen > 0)
            precisions.append(np.einsum('bn,bn->b', hits, found) / total_hits)
    return np.concatenate(areas), np.concatenate(precisions)
