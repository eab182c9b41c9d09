"""Overlaps of binary masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask


def mask_iou(pred_rles: Sequence[dict], gt_rles: Sequence[dict], crowd: bool = False) -> np.ndarray:
    """Compute the intersection over union of every prediction with every instance, in float64.

    Args:
        pred_rles: n predicted masks from :func:`~mmaffinity.utils.run_lengths.encode_masks`.
        gt_rles: m ground-truth masks of the same height and width.
        crowd: whether the ground truth consists of crowd regions, for which COCO divides by the prediction's own area.

    Returns:
        Shape (n, m). Two empty masks have IoU 0.

    Raises:
        ValueError: if two masks differ in height or width.
    """
    sizes = {tuple(rle['size']) for rle in [*pred_rles, *gt_rles]}
    if len(sizes) > 1:
        raise ValueError(
            f'masks of one image differ in (height, width): {sorted(sizes)}. Predictions and ground truth '
            'must both have the size of the original image'
        )
    if not pred_rles or not gt_rles:
        return np.zeros((len(pred_rles), len(gt_rles)))
    return np.asarray(coco_mask.iou(list(pred_rles), list(gt_rles), [int(crowd)] * len(gt_rles)), dtype=np.float64)
