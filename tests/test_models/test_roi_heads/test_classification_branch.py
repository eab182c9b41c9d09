"""The classification branch: its selection of RoIs, step by step, and its copied weights."""

import copy
import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from model_helpers import (
    POOLED,
    SIZE,
    brute_force_nms,
    build_model,
    decode_by_hand,
    model_config,
)
from torch.nn.functional import conv2d, conv_transpose2d

pytestmark = pytest.mark.usefixtures('one_thread')


STDS = (0.1, 0.1, 0.2, 0.2)


def metas(samples):
    return [sample.metainfo for sample in samples]


def select_by_hand(head, x, proposals, i):
    """Select the RoIs of one slice step by step; return indices and decoded boxes."""
    branch = head.classification_branch
    rois = torch.cat([torch.full((len(proposals), 1), float(i)), proposals], 1)
    pooled = head.bbox_roi_extractor.roi_layers[0](x[0], rois).flatten(1)
    for layer in branch.bbox_head.shared_fcs:
        pooled = (pooled @ layer.weight.t() + layer.bias).clamp(min=0)
    logits = pooled @ branch.bbox_head.fc_cls.weight.t() + branch.bbox_head.fc_cls.bias
    deltas = pooled @ branch.bbox_head.fc_reg.weight.t() + branch.bbox_head.fc_reg.bias
    scores = 1 / (1 + torch.exp(logits[:, 1] - logits[:, 0]))  # softmax of lesion against background, which is last
    boxes = decode_by_hand(proposals, deltas, (SIZE, SIZE), STDS)
    valid = [k for k, (a, b, c, d) in enumerate(boxes.tolist()) if (c - a) * (d - b) > 1e-5]
    kept = [valid[k] for k in brute_force_nms(boxes[valid], scores[valid], 0.25)]
    return kept, boxes, scores, deltas


@torch.no_grad()
def test_ranked_rois_equal_hand_selection(model, features):
    x, proposals, samples = features
    ranked = model.roi_head.rank_rois(x, proposals, metas(samples))
    assert ranked.mask_features.shape == (2, 8, 16, 28, 28)
    for i in range(2):
        assert len(proposals[i]) == 200
        kept, boxes, scores, deltas = select_by_hand(model.roi_head, x, proposals[i].bboxes, i)
        assert len(kept) > 8
        kept = kept[:8]
        torch.testing.assert_close(ranked.boxes[i].double(), boxes[kept], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(ranked.scores[i], scores[kept], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ranked.deltas[i], deltas[kept], rtol=1e-3, atol=1e-4)
        assert (ranked.scores[i].diff() <= 0).all()
        # The mask features of those boxes, by plain convolutions: conv, ReLU, transposed conv, ReLU.
        rois = torch.cat([torch.full((8, 1), float(i)), ranked.boxes[i]], 1)
        mask_head = model.roi_head.classification_branch.mask_head
        y = model.roi_head.mask_roi_extractor.roi_layers[0](x[0], rois)
        y = conv2d(y, mask_head.convs[0].conv.weight, mask_head.convs[0].conv.bias, padding=1).clamp(min=0)
        y = conv_transpose2d(y, mask_head.upsample.weight, mask_head.upsample.bias, stride=2).clamp(min=0)
        torch.testing.assert_close(ranked.mask_features[i], y, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('num_proposals, places', [(1, [0] * 8), (3, [0, 0, 0, 1, 1, 1, 2, 2])])
def test_short_lists_are_stretched(model, features, num_proposals, places):
    x, _, samples = features
    apart = torch.tensor([[8.0, 8.0, 30.0, 30.0], [90.0, 8.0, 115.0, 40.0], [40.0, 80.0, 70.0, 120.0]])[:num_proposals]
    kept, boxes, *_ = select_by_hand(model.roi_head, x, apart, 0)
    assert len(kept) == num_proposals
    ranked = model.roi_head.rank_rois([x[0][:1]], [InstanceData(bboxes=apart)], metas(samples[:1]))
    torch.testing.assert_close(ranked.boxes[0].double(), boxes[[kept[p] for p in places]], rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_the_whole_slice_is_the_last_roi(model, features):
    x, proposals, samples = features
    plain, whole = (build_model({**POOLED, 'roi_head.cls_head.slice_roi': flag}).eval().roi_head for flag in (False, True))
    whole.classification_branch.load_state_dict(plain.classification_branch.state_dict())
    few, more = (head.rank_rois(x, proposals, metas(samples)) for head in (plain, whole))
    for name in ('boxes', 'scores', 'deltas', 'mask_features'):
        torch.testing.assert_close(getattr(more, name)[:, :-1], getattr(few, name))
    assert more.boxes[:, -1].tolist() == [[0.0, 0.0, SIZE, SIZE]] * 2
    assert more.scores[:, -1].tolist() == [1.0, 1.0] and not more.deltas[:, -1].any()
    rois = torch.tensor([[0.0, 0.0, 0.0, SIZE, SIZE], [1.0, 0.0, 0.0, SIZE, SIZE]])
    expected = whole.classification_branch.mask_head(whole.mask_roi_extractor(x[:1], rois))
    torch.testing.assert_close(more.mask_features[:, -1], expected)
    # A slice that was padded to the batch's size: its own shape counts.
    padded = [dict(metas(samples)[0], img_shape=(SIZE // 2, SIZE))]
    ranked = whole.rank_rois([x[0][:1]], proposals[:1], padded)
    assert ranked.boxes[0, -1].tolist() == [0.0, 0.0, SIZE, SIZE // 2]


def test_several_lesion_classes():
    """The box of a proposal is that of its most likely lesion class, its score the total lesion probability."""
    classes = {f'roi_head.{head}_head.num_classes': 2 for head in ('bbox', 'mask')}
    branch = build_model(classes).roi_head.classification_branch
    proposals = torch.tensor([[10.0, 10.0, 30.0, 30.0], [60.0, 60.0, 90.0, 100.0]])
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, -1.0, 4.0]])  # GGO, consolidation, background
    deltas = torch.zeros(2, 8)
    deltas[0, 4:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    deltas[1, :4] = torch.tensor([0.0, -1.0, 0.0, 0.0])
    deltas[0, :4] = deltas[1, 4:] = 50.0
    boxes, scores, chosen = branch._select(logits, deltas, InstanceData(bboxes=proposals), dict(img_shape=(SIZE, SIZE)))
    expected = [1 - 1 / sum(math.exp(v) for v in (1, 2, 0)), 1 - math.exp(4) / sum(math.exp(v) for v in (3, -1, 4))]
    torch.testing.assert_close(scores, torch.tensor([expected[0]] * 4 + [expected[1]] * 4))
    torch.testing.assert_close(boxes[0], torch.tensor([12.0, 10.0, 32.0, 30.0]))
    torch.testing.assert_close(boxes[4], torch.tensor([60.0, 56.0, 90.0, 96.0]))
    assert torch.equal(chosen[0], deltas[0, 4:]) and torch.equal(chosen[4], deltas[1, :4])


def test_gradient_passes_through_and_stops_at_the_branch(features):
    head = build_model().roi_head
    x, proposals, samples = features
    level = x[0].clone().requires_grad_()
    ranked = head.rank_rois([level], proposals, metas(samples))
    assert not (ranked.boxes.requires_grad or ranked.scores.requires_grad or ranked.deltas.requires_grad)
    ranked.mask_features.sum().backward()
    assert level.grad.abs().sum() > 0
    assert all(p.grad is None for p in head.parameters())
    assert not any(p.requires_grad for p in head.classification_branch.parameters())


def test_copy_takes_all_weights_but_the_extra_convolution():
    head = build_model({'roi_head.mask_feature_head.extra_conv': True}).roi_head
    branch = head.classification_branch
    with torch.no_grad():
        for parameter in [*head.bbox_head.parameters(), *head.mask_head.parameters()]:
            parameter.normal_()
    before = copy.deepcopy(branch.state_dict())
    head.copy_branch()
    copied = set()
    for name, source in (('bbox_head', head.bbox_head), ('mask_head', head.mask_head)):
        for key, value in getattr(branch, name).state_dict().items():
            if key in source.state_dict():
                assert torch.equal(value, source.state_dict()[key])
                copied.add(f'{name}.{key}')
    rest = set(before) - copied
    assert rest == {'mask_head.extra_conv.weight', 'mask_head.extra_conv.bias'}
    assert all(torch.equal(branch.state_dict()[name], before[name]) for name in rest)
    # A copy, not the same memory.
    head.bbox_head.fc_cls.weight.data.zero_()
    assert branch.bbox_head.fc_cls.weight.abs().sum() > 0


def test_branches_are_equal_after_initialisation():
    init_default_scope('mmdet')
    built = MODELS.build(model_config())
    built.init_weights()
    head = built.roi_head
    assert torch.equal(head.classification_branch.bbox_head.fc_reg.weight, head.bbox_head.fc_reg.weight)
    assert torch.equal(head.classification_branch.mask_head.upsample.weight, head.mask_head.upsample.weight)
