"""Anchors with integer corners, as in the published code."""

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.registry import TASK_UTILS

from mmaffinity.models import RoundedAnchorGenerator

SETTINGS = dict(strides=[16], scales=[0.5, 1.0, 2.5], ratios=[0.5, 1.0, 2.0])


def test_corners_are_rounded_half_to_even():
    """Corners from the definition: width w = size * scale / sqrt(ratio), height h = w * ratio, around the centre (0, 0)."""
    base = TASK_UTILS.build(dict(type='RoundedAnchorGenerator', **SETTINGS)).base_anchors[0]
    expected = []
    for ratio in SETTINGS['ratios']:
        for scale in SETTINGS['scales']:
            width = 16 * scale / ratio**0.5
            height = width * ratio
            expected.append([round(-width / 2), round(-height / 2), round(width / 2), round(height / 2)])
    assert base.tolist() == expected
    odd = RoundedAnchorGenerator(strides=[5], scales=[1.0], ratios=[1.0])  # corners at 2.5
    assert odd.base_anchors[0].tolist() == [[-2, -2, 2, 2]]


def test_grids_are_those_of_mmdetection_up_to_half_a_pixel():
    rounded, plain = (
        kind(**SETTINGS).grid_priors([(3, 4)], device='cpu')[0] for kind in (RoundedAnchorGenerator, AnchorGenerator)
    )
    assert rounded.shape == plain.shape == (3 * 4 * 9, 4)
    assert 0 < (rounded - plain).abs().max() <= 0.5 and torch.equal(rounded, rounded.round())
