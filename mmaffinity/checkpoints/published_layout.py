"""Mapping between tensors of the author's published checkpoints and ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NORM_LEAVES = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


@dataclass(frozen=True)
class Change:
    """Conversion of a published tensor to ours and back.

    Attributes:
        forward: converts a published tensor to ours.
        backward: converts ours to the published tensor; also receives the result of ``dropped``.
        dropped: returns the part that ours lacks; None if there is none.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Any], Tensor]
    dropped: Callable[[Tensor], Tensor] | None = None


SAME = Change(lambda x: x, lambda x, _: x)
# Background is the first class in the published code and the last in MMDetection.
BACKGROUND_LAST = Change(lambda x: x.roll(-1, 0), lambda x, _: x.roll(1, 0))
# The published code also predicts a box and a mask for the background, but never reads them.
NO_BACKGROUND_BOX = Change(lambda x: x[4:], lambda x, dropped: torch.cat([dropped, x]), lambda x: x[:4])
NO_BACKGROUND_MASK = Change(lambda x: x[1:], lambda x, dropped: torch.cat([dropped, x]), lambda x: x[:1])
COLUMN = Change(lambda x: x.squeeze(1), lambda x, _: x.unsqueeze(1))


@dataclass(frozen=True)
class Entry:
    """One tensor of a published checkpoint.

    Attributes:
        part: part of the model that it belongs to.
        key: its published name.
        shape: its published shape.
        ours: its name in our state dict; None for a copy.
        change: its conversion.
        copy_of: published name of the tensor that it duplicates; the published code registers some modules twice.
    """

    part: str
    key: str
    shape: tuple[int, ...]
    ours: str | None = None
    change: Change = SAME
    copy_of: str | None = None


def _conv(part: str, theirs: str, ours: str, shape: tuple, out: int, change: Change = SAME) -> list[Entry]:
    return [
        Entry(part, f'{theirs}.weight', shape, f'{ours}.weight', change),
        Entry(part, f'{theirs}.bias', (out,), f'{ours}.bias', change),
    ]


def _norm(part: str, theirs: str, ours: str, channels: int) -> list[Entry]:
    return [
        Entry(part, f'{theirs}.{leaf}', () if leaf == 'num_batches_tracked' else (channels,), f'{ours}.{leaf}')
        for leaf in NORM_LEAVES
    ]


def _backbone() -> list[Entry]:
    part, theirs, ours = 'backbone', 'backbone.body', 'backbone'
    entries = [Entry(part, f'{theirs}.conv1.weight', (64, 3, 7, 7), f'{ours}.conv1.weight')]
    entries += _norm(part, f'{theirs}.bn1', f'{ours}.bn1', 64)
    width = 64
    for stage, planes in ((1, 64), (2, 128), (3, 256)):
        for block in (0, 1):
            name = f'layer{stage}.{block}'
            convs = [('conv1', 'bn1', (planes, width, 3, 3)), ('conv2', 'bn2', (planes, planes, 3, 3))]
            if width != planes:
                convs.append(('downsample.0', 'downsample.1', (planes, width, 1, 1)))
            for conv, norm, shape in convs:
                key = f'{name}.{conv}.weight'
                entries.append(Entry(part, f'{theirs}.{key}', shape, f'{ours}.{key}'))
                entries += _norm(part, f'{theirs}.{name}.{norm}', f'{ours}.{name}.{norm}', planes)
            width = planes
    return entries


def _neck_and_rpn() -> list[Entry]:
    neck, rpn = 'neck', 'RPN'
    return [
        *_conv(neck, 'backbone.fpn.inner_blocks.0.0', 'neck.lateral_convs.0.conv', (256, 256, 1, 1), 256),
        *_conv(neck, 'backbone.fpn.layer_blocks.0.0', 'neck.fpn_convs.0.conv', (256, 256, 3, 3), 256),
        *_conv(rpn, 'rpn.head.conv', 'rpn_head.rpn_conv', (256, 256, 3, 3), 256),
        *_conv(rpn, 'rpn.head.cls_logits', 'rpn_head.rpn_cls', (30, 256, 1, 1), 30),
        *_conv(rpn, 'rpn.head.bbox_pred', 'rpn_head.rpn_reg', (120, 256, 1, 1), 120),
    ]


def _branch(name: str, suffix: str, ours: str) -> list[Entry]:
    box, mask, theirs = f'box head of the {name} branch', f'mask head of the {name} branch', 'roi_heads'
    entries = [
        *_conv(box, f'{theirs}.box_head{suffix}.fc6', f'{ours}.bbox_head.shared_fcs.0', (128, 12544), 128),
        *_conv(box, f'{theirs}.box_head{suffix}.fc7', f'{ours}.bbox_head.shared_fcs.1', (128, 128), 128),
        *_conv(box, f'{theirs}.box_predictor{suffix}.cls_score', f'{ours}.bbox_head.fc_cls', (2, 128), 2, BACKGROUND_LAST),
        *_conv(box, f'{theirs}.box_predictor{suffix}.bbox_pred', f'{ours}.bbox_head.fc_reg', (8, 128), 8, NO_BACKGROUND_BOX),
        *_conv(mask, f'{theirs}.mask_head{suffix}.mask_fcn1', f'{ours}.mask_head.convs.0.conv', (256, 256, 3, 3), 256),
        *_conv(mask, f'{theirs}.mask_predictor{suffix}.conv_mask', f'{ours}.mask_head.upsample', (256, 256, 2, 2), 256),
    ]
    if suffix:
        return entries + _conv(
            mask, f'{theirs}.mask_predictor{suffix}.conv_reduce', f'{ours}.mask_head.extra_conv', (256, 256, 3, 3), 256
        )
    return entries + _conv(
        mask, f'{theirs}.mask_predictor.mask_fcn_logits', f'{ours}.mask_head.conv_logits', (2, 256, 1, 1), 2, NO_BACKGROUND_MASK
    )


def _affinity_layer(num_affinities: int, num_rois: int) -> list[Entry]:
    part, theirs, ours = 'affinity layer', 'affinity_layer', 'roi_head.cls_head'
    matrix, vector = f'{theirs}.batch_to_feat_mat', f'{theirs}.batch_to_feat_vec'
    shapes = {matrix: (num_rois, num_affinities), vector: (num_affinities, 1)}
    entries = [
        Entry(part, matrix, shapes[matrix], f'{ours}.affinity.matrix'),
        Entry(part, vector, shapes[vector], f'{ours}.affinity.vector', COLUMN),
    ]
    first, stage = f'{theirs}.sieve.0', f'{ours}.refinement.stages.0'
    block = [
        *_conv(part, f'{first}.conv_down', f'{stage}.conv_down', (128, 256, 2, 2), 128),
        *_norm(part, f'{first}.bn', f'{stage}.norm', 128),
        *_conv(part, f'{first}.conv_up', f'{stage}.conv_up', (128, 256, 2, 2), 256),
    ]
    entries += block
    for copy in (1, 2):
        entries += [
            Entry(part, entry.key.replace('sieve.0', f'sieve.{copy}'), entry.shape, copy_of=entry.key) for entry in block
        ]
    for i, (conv, norm, size) in enumerate((('conv_d1', 'bn1', 2), ('conv_d2', 'bn2', 2), ('conv_d_final', 'bn3', 7))):
        entries += _conv(part, f'{theirs}.{conv}', f'{ours}.vectorization.convs.{i}', (256, 256, size, size), 256)
        entries += _norm(part, f'{theirs}.{norm}', f'{ours}.vectorization.norms.{i}', 256)
    return entries + [Entry(part, f'{theirs}.pars.{i}', shapes[key], copy_of=key) for i, key in enumerate(shapes)]


def _classifier(num_classes: int) -> list[Entry]:
    part, theirs, ours = 'image classifier', 's2new', 'roi_head.cls_head.classifier'
    return [
        *_conv(part, f'{theirs}.fc_l1', f'{ours}.0', (128, 256), 128),
        *_conv(part, f'{theirs}.fc_l2', f'{ours}.2', (128, 128), 128),
        *_conv(part, f'{theirs}.class_predict_logits', f'{ours}.4', (num_classes, 128), num_classes),
    ]


def detector_layout() -> list[Entry]:
    """Return the tensors that the author's detectors share, including those of both branches."""
    return [
        *_backbone(),
        *_neck_and_rpn(),
        *_branch('segmentation', '', 'roi_head'),
        *_branch('classification', '_s2', 'roi_head.classification_branch'),
    ]


def published_layout(num_affinities: int, num_classes: int, num_rois: int = 8) -> list[Entry]:
    """Return the tensors of a published affinity model.

    Args:
        num_affinities: C*.
        num_classes: K.
        num_rois: beta.
    """
    return [*detector_layout(), *_affinity_layer(num_affinities, num_rois), *_classifier(num_classes)]


def parts(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Group tensors by their part of the model."""
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.part, []).append(entry)
    return grouped


def part_prefixes(entries: list[Entry]) -> tuple[str, ...]:
    """Return the prefix of a part's published names, for example 'backbone.body.'."""
    return tuple(sorted({'.'.join(entry.key.split('.')[:2]) + '.' for entry in entries}))
