"""Inputs on which the operations are compared with mmcv's, and a script that records mmcv's results.

``PYTHONPATH=.:tests python tests/operation_cases.py`` writes tests/data/mmcv_operations.npz; it needs a compiled mmcv.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

RECORDED = Path(__file__).parent / 'data' / 'mmcv_operations.npz'
KINDS = ('random', 'whole pixels', 'identical', 'touching', 'no area', 'corners swapped', 'not a number')
NMS_OPTIONS = ({}, dict(offset=1), dict(score_threshold=0.3), dict(max_num=5), dict(offset=1, score_threshold=0.5, max_num=3))
BATCHED_OPTIONS = (
    dict(type='nms'),
    dict(class_agnostic=True),
    dict(split_thr=10),
    dict(split_thr=10, max_num=6),
    dict(split_thr=10, class_agnostic=True),
    dict(type='nms', offset=1, score_threshold=0.2),
)
ALIGN_OPTIONS = tuple(itertools.product(((3, 2), 5), (0, 2, 3), ('avg', 'max'), (False, True)))
SCALE = 1 / 12
HEIGHT, WIDTH, STRIDE = 24, 32, 16  # of :func:`features`: cells, and pixels per cell


def boxes_of(kind: str, num: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Boxes (num, 4) of a kind, and scores of which no two are equal: mmcv ranks equal ones arbitrarily."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, generator=generator) * 150
    extent = torch.rand(num, 2, generator=generator) * 80
    if kind in ('whole pixels', 'touching'):
        corner, extent = corner.round(), extent.round()
    if kind == 'touching':
        corner, extent = (corner / 20).round() * 20, torch.full_like(extent, 20.0)
    if kind == 'no area':
        extent *= torch.rand(num, 2, generator=generator) > 0.4
    if kind == 'corners swapped':
        extent -= 25
    boxes = torch.cat([corner, corner + extent], 1)
    if kind == 'identical' and num:
        boxes = boxes[torch.randint(0, num // 3 + 1, (num,), generator=generator)]
    if kind == 'not a number' and num:
        boxes[::4, 1], boxes[1::5, 2], boxes[2::7, 0] = torch.nan, torch.inf, -torch.inf
    return boxes, (torch.randperm(num, generator=generator) + 1.0) / (num + 1)


def groups(num: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randint(0, classes, (num,), generator=torch.Generator().manual_seed(seed))


def map_and_rois(channels: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A map (2, channels, 7, 9) and RoIs across and beyond its border, without area, and as large as it."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, channels, 7, 9, generator=generator)
    corner = (torch.rand(10, 2, generator=generator) * 1.4 - 0.2) * torch.tensor([9.0, 7.0]) / SCALE
    boxes = torch.cat([corner, corner + torch.rand(10, 2, generator=generator) ** 2 * 60], 1)
    special = (
        torch.tensor(
            [[0.0, 0.0, 9.0, 7.0], [3.0, 2.0, 3.0, 2.0], [4.0, 1.0, 4.0, 6.0], [50.0, 50.0, 60.0, 60.0], [1.0, 1.0, 2.0, 2.0]]
        )
        / SCALE
    )
    boxes = torch.cat([boxes, special])
    return features, torch.cat([torch.arange(len(boxes))[:, None] % 2, boxes], 1)


def features(images: int = 2, channels: int = 6, dtype: torch.dtype = torch.float32, channels_last: bool = False) -> Tensor:
    """Maps (images, channels, HEIGHT, WIDTH)."""
    x = torch.randn(images, channels, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)).to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def random_rois(num: int = 60, images: int = 2, size: float = 120.0, seed: int = 1) -> Tensor:
    """RoIs of all sizes, some across the border, some far outside, and the awkward ones by name."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, generator=generator) * torch.tensor([WIDTH + 4.0, HEIGHT + 4.0]) * STRIDE - 2 * STRIDE
    extent = torch.rand(num, 2, generator=generator) ** 2 * size
    boxes = torch.cat([corner, corner + extent], 1)
    awkward = torch.tensor(
        [
            [0.0, 0.0, WIDTH * STRIDE, HEIGHT * STRIDE],
            [50.0, 60.0, 50.0, 60.0],
            [-900.0, -900.0, -800.0, -800.0],
            [WIDTH * STRIDE, HEIGHT * STRIDE, WIDTH * STRIDE, HEIGHT * STRIDE],
            [-40.0, -40.0, 900.0, 900.0],
            [32.0, 48.0, 33.0, 300.0],
            [160.0, 160.0, 176.0, 176.0],
            [80.0, 90.0, 60.0, 70.0],
        ]
    )
    boxes = torch.cat([boxes, awkward])
    return torch.cat([torch.arange(len(boxes))[:, None] % images, boxes], 1)


def record() -> None:
    """Record mmcv's results."""
    import mmcv
    from mmcv import ops

    answers = {'version': mmcv.__version__}
    for kind in KINDS:
        boxes, scores = boxes_of(kind, 40)
        answers[f'boxes {kind}'], answers[f'scores {kind}'] = boxes, scores
        for number, options in enumerate(NMS_OPTIONS):
            answers[f'nms {kind} {number}'] = ops.nms(boxes, scores, 0.25, **options)[1]
        for number, options in enumerate(BATCHED_OPTIONS):
            options = {'iou_threshold': 0.25, **options}
            answers[f'batched {kind} {number}'] = ops.batched_nms(boxes, scores, groups(40, 4), options)[1]
    features, rois = map_and_rois()
    answers['features'], answers['rois'] = features, rois
    for number, (size, ratio, mode, aligned) in enumerate(ALIGN_OPTIONS):
        features = features.detach().requires_grad_()
        bins = ops.roi_align(features, rois, size, SCALE, ratio, mode, aligned)
        weights = torch.arange(bins.numel()).view_as(bins) % 7 - 3.0
        answers[f'bins {number}'] = bins.detach()
        answers[f'gradient {number}'] = torch.autograd.grad((bins * weights).sum(), features)[0]
    np.savez_compressed(RECORDED, **{name: np.asarray(value) for name, value in answers.items()})


if __name__ == '__main__':
    record()
