"""Overlaps against counting pixels."""

import numpy as np
import pytest

from mmaffinity.evaluation.functional.mask_overlap import mask_iou
from mmaffinity.utils.run_lengths import encode_masks


def test_iou_counts_pixels():
    rng = np.random.default_rng(0)
    preds, gts = rng.random((4, 9, 11)) < 0.5, rng.random((3, 9, 11)) < 0.5
    preds[0] = gts[0] = False  # two empty masks overlap in nothing
    expected = [[(p & g).sum() / max((p | g).sum(), 1) for g in gts] for p in preds]
    np.testing.assert_array_equal(mask_iou(encode_masks(preds), encode_masks(gts)), expected)


def test_iou_of_nothing():
    rles = encode_masks(np.eye(8, dtype=bool)[:, None])
    assert mask_iou([], rles).shape == (0, 8)
    assert mask_iou(rles, []).shape == (8, 0)
    assert mask_iou([], []).shape == (0, 0)


def test_iou_needs_equal_sizes():
    with pytest.raises(ValueError, match='original image'):
        mask_iou(encode_masks(np.ones((1, 7, 10), bool)), encode_masks(np.ones((1, 10, 7), bool)))
