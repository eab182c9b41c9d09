"""Average precision per image, the paper's segmentation metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmaffinity.utils.wording import plural

# Written out, because np.arange(0.5, 1, 0.05) yields 0.6000000000000001 instead of 0.6.
IOU_THRESHOLDS = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95)


def image_average_precision(
    ious: np.ndarray,
    scores: Sequence[float] | np.ndarray,
    pred_labels: Sequence[int] | np.ndarray | None = None,
    gt_labels: Sequence[int] | np.ndarray | None = None,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    crowd_overlaps: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the average precision of one image at several IoU thresholds, from one matrix of IoUs.

    Ground-truth instances are visited in order. The candidates of each are the predictions of its class with an IoU strictly
    above the threshold. The candidate with the highest IoU becomes a true positive (for equal IoUs, the one with the higher
    score). Because several instances may match the same prediction, neither the order of the visits nor the threshold changes
    which prediction an instance matches, only whether it matches one. The best overlap of each instance therefore determines
    the result at all thresholds.

    All predictions of the image form one ranking by decreasing score (equal scores keep their order), whatever their class, and
    recall counts all instances. With k classes this is not a mean over classes: a class without instances in the image
    contributes only its predictions, as false positives. A prediction that is not a true positive and overlaps a crowd region
    of its class is left out of the ranking, as in COCO, because the instances there are unknown. Precision is made monotone
    from the right, and AP is the area under that step curve.

    Args:
        ious: shape (n, m), IoU of each of n predictions with each of m instances.
        scores: (n,), probabilities of the predictions.
        pred_labels: (n,) classes of the predictions; None if there is only one class.
        gt_labels: (m,) classes of the instances; None if there is only one class.
        iou_thresholds: T thresholds.
        crowd_overlaps: (n,), the largest share of each prediction that one crowd region of its class covers; None if there
            are none.

    Returns:
        Shape (T,), AP in [0, 1]. Without instances, it is 1 if there are no counted predictions, otherwise 0. With
        instances but without predictions, it is 0.

    Raises:
        ValueError: if shapes disagree, only one of the label lists is given, or a score is not a finite number.
    """
    ious = np.asarray(ious, dtype=np.float64)
    scores = np.asarray(scores, dtype=np.float64)
    thresholds = np.asarray(iou_thresholds, dtype=np.float64)
    if ious.ndim != 2 or scores.shape != ious.shape[:1]:
        raise ValueError(
            f'ious must have shape (predictions, instances) and scores (predictions,), got {ious.shape} and {scores.shape}'
        )
    if not np.isfinite(scores).all():
        raise ValueError(f'scores must be finite numbers, got {scores[~np.isfinite(scores)][0]}')
    num_pred, num_gt = ious.shape
    crowd_overlaps = np.zeros(num_pred) if crowd_overlaps is None else np.asarray(crowd_overlaps, dtype=np.float64)
    if crowd_overlaps.shape != scores.shape:
        raise ValueError(f'crowd_overlaps must have shape {scores.shape} like the scores, got {crowd_overlaps.shape}')
    on_crowd = crowd_overlaps > thresholds[:, None]  # (T, n)
    if num_gt == 0:
        return np.asarray(on_crowd.all(axis=1), np.float64)
    if num_pred == 0:
        return np.zeros(len(thresholds))

    order = np.argsort(-scores, kind='stable')
    ious = np.where(_same_class(pred_labels, gt_labels, ious.shape), ious, -1.0)[order]
    taken = ious.argmax(axis=0)  # (m,), the rank of the prediction that each instance matches
    best = np.full(num_pred, -1.0)
    np.maximum.at(best, taken, ious[taken, np.arange(num_gt)])

    true_positive = best > thresholds[:, None]  # (T, n)
    counted = true_positive | ~on_crowd[:, order]
    precision = np.cumsum(true_positive, axis=1) / np.maximum(np.cumsum(counted, axis=1), 1)
    monotone = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # Recall increases by 1/m at each true positive and nowhere else.
    return (monotone * true_positive).sum(axis=1) / num_gt


def summarize_average_precision(per_image: np.ndarray) -> dict[str, float]:
    """Average over images, as in the paper's Table 3.

    Args:
        per_image: shape (N, 10), the AP of N images at :data:`IOU_THRESHOLDS`.

    Returns:
        'AP50' and 'AP75', the means over images at IoU 0.50 and 0.75, and 'mAP', the mean over images and thresholds.

    Raises:
        ValueError: if there are no images, or the shape does not match the thresholds.
    """
    per_image = np.asarray(per_image, dtype=np.float64)
    if per_image.ndim != 2 or per_image.shape[1] != len(IOU_THRESHOLDS) or not len(per_image):
        raise ValueError(
            f'expected the average precision of at least one image at {len(IOU_THRESHOLDS)} thresholds, '
            f'got shape {per_image.shape}'
        )
    means = per_image.mean(axis=0)
    return dict(
        AP50=float(means[IOU_THRESHOLDS.index(0.5)]),
        AP75=float(means[IOU_THRESHOLDS.index(0.75)]),
        mAP=float(means.mean()),
    )


def _same_class(
    pred_labels: Sequence[int] | np.ndarray | None, gt_labels: Sequence[int] | np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray:
    """Return whether each prediction and instance have the same class, shape (n, m), or (1, 1) without classes."""
    if pred_labels is None and gt_labels is None:
        return np.ones((1, 1), dtype=bool)
    if pred_labels is None or gt_labels is None:
        raise ValueError('pass the classes of both the predictions and the instances, or of neither')
    pred_labels, gt_labels = np.asarray(pred_labels), np.asarray(gt_labels)
    if (pred_labels.shape, gt_labels.shape) != (shape[:1], shape[1:]):
        raise ValueError(
            f'{plural(shape[0], "prediction")} and {plural(shape[1], "instance")} need as many labels, '
            f'got shapes {pred_labels.shape} and {gt_labels.shape}'
        )
    return pred_labels[:, None] == gt_labels[None, :]
