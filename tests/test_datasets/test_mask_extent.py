"""Extents of run-length masks against pycocotools."""

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mmaffinity.datasets.mask_extent import mask_extent


def random_mask(seed):
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 40, 2)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(random.integers(0, 4)):
        top, left = random.integers(0, height), random.integers(0, width)
        mask[top : top + random.integers(1, 15), left : left + random.integers(1, 15)] = 1
    return mask & (random.random(mask.shape) < 0.8) if seed % 2 else mask


@pytest.mark.parametrize('seed', range(40))
def test_box_and_area(seed):
    mask = random_mask(seed)
    rle = mask_utils.encode(np.asfortranarray(mask))
    rows, columns = np.nonzero(mask)
    box = (0, 0, 0, 0) if not len(rows) else (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    flat = np.concatenate([[0], mask.T.ravel(), [2]])
    changes = np.flatnonzero(np.diff(flat)).tolist()
    plain = np.diff([0, *changes]).tolist()
    for counts in (rle['counts'], rle['counts'].decode(), plain):
        extent = mask_extent(dict(size=[int(side) for side in mask.shape], counts=counts))
        assert extent.area == mask.sum() and extent.box == box


def test_long_runs_of_large_pictures():
    mask = np.zeros((2048, 2048), np.uint8)
    mask[:, 1000:2000] = 1
    rle = mask_utils.encode(np.asfortranarray(mask))
    extent = mask_extent(dict(size=[2048, 2048], counts=rle['counts']))
    assert extent == ((1000, 0, 1000, 2048), 2048 * 1000)


@pytest.mark.parametrize(
    'rle, message',
    [
        (dict(size=[4, 4], counts=[10]), 'add up to 10 pixels, not to 4 x 4'),
        (dict(size=[4, 4], counts=[20, -4]), 'add up'),
        (dict(size=[4, 4], counts=[8.0, 8]), 'whole numbers'),
        (dict(size=[4], counts=[16]), r'size \[4\]'),
        (dict(size=[0, 4], counts=[]), 'size'),
        (dict(counts=[16]), 'size None'),
        (dict(size=[4, 4]), 'NoneType'),
        (dict(size=[4, 4], counts='é'), 'not ASCII'),
        (dict(size=[4, 4], counts='`'), 'truncated or not run lengths'),
        (dict(size=[4, 4], counts='o' * 40), 'not run lengths'),
    ],
)
def test_broken_masks(rle, message):
    with pytest.raises(ValueError, match=message):
        mask_extent(rle)
