"""Mask pasting within boxes against MMDetection's, pixel by pixel."""

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict

from mmaffinity.models import FastLesionMaskHead
from mmaffinity.utils.mask_pasting import paste_masks

HEIGHT, WIDTH = 96, 128
CONFIG = ConfigDict(mask_thr_binary=0.5)


def some_boxes(num=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, generator=generator) * torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])
    extent = torch.rand(num, 2, generator=generator) ** 2 * 100
    extreme = torch.tensor(
        [
            [0.0, 0.0, WIDTH, HEIGHT],
            [10.0, 10.0, 10.0, 30.0],
            [10.0, 10.0, 40.0, 10.0],
            [7.5, 7.5, 7.5, 7.5],
            [WIDTH, HEIGHT, WIDTH, HEIGHT],
            [0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 28.0, 28.0],
            [3.0, 3.0, 31.0, 59.0],
            [20.0, 20.0, 20.001, 70.0],
        ]
    )
    boxes = torch.cat([torch.cat([corner, corner + extent], 1), extreme])
    return torch.stack([boxes[:, 0::2].clamp(max=WIDTH), boxes[:, 1::2].clamp(max=HEIGHT)], -1).flatten(1)


@pytest.mark.parametrize('kind', ['smooth', 'noise', 'saturated'])
@pytest.mark.parametrize('classes', [1, 2])
@pytest.mark.parametrize('scale', [(1.0, 1.0), (0.5, 2.0)])
def test_equals_mmdetection(kind, classes, scale):
    boxes = some_boxes()
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(len(boxes), classes, 28, 28, generator=generator)
    if kind == 'smooth':
        logits = 4 * torch.nn.functional.interpolate(logits[:, :, :4, :4], (28, 28), mode='bicubic')
    if kind == 'saturated':
        logits = logits.sign() * 100
    labels = torch.arange(len(boxes)) % classes
    meta = dict(scale_factor=scale, ori_shape=(HEIGHT, WIDTH))
    boxes = boxes * torch.tensor(scale).repeat(2)
    masks, returned = [], []
    for head in (FCNMaskHead, FastLesionMaskHead):
        kept = boxes.clone()
        masks.append(
            head(num_convs=0, num_classes=classes)._predict_by_feat_single(logits, kept, labels, meta, CONFIG, rescale=True)
        )
        returned.append(kept)
    assert masks[1].dtype == torch.bool and masks[1].shape == (len(boxes), HEIGHT, WIDTH)
    assert masks[0].any((1, 2)).sum() > 50
    assert torch.equal(*masks) and torch.equal(*returned)


def test_class_agnostic_heads_and_other_requests():
    boxes, meta = some_boxes(), dict(scale_factor=(2.0, 2.0), ori_shape=(HEIGHT, WIDTH))
    logits = torch.randn(len(boxes), 1, 28, 28, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(len(boxes)) % 2
    for threshold, rescale in ((0.5, True), (0.3, True), (0.5, False), (-1, True)):
        config = ConfigDict(mask_thr_binary=threshold)
        found, expected = (
            head(num_convs=0, num_classes=2, class_agnostic=True)._predict_by_feat_single(
                logits, boxes.clone(), labels, meta, config, rescale=rescale
            )
            for head in (FastLesionMaskHead, FCNMaskHead)
        )
        assert found.dtype == expected.dtype and torch.equal(found, expected)


def test_no_boxes():
    assert paste_masks(np.zeros((0, 28, 28), np.float32), np.zeros((0, 4), np.float32), 5, 7).shape == (0, 5, 7)
