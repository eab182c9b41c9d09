"""The two branches of the RoI head: selection of RoIs, copying, training of the boxes, all against loops."""

import copy
import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from model_helpers import (
    LESIONS,
    POOLED,
    SIZE,
    batch,
    brute_force_nms,
    build_model,
    decode_by_hand,
    lesion_sample,
    model_config,
    slice_sample,
)
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

from mmaffinity.models import BaseSliceHead
from mmaffinity.structures import RankedRoIs

pytestmark = pytest.mark.usefixtures('one_thread')

STDS = (0.1, 0.1, 0.2, 0.2)


@MODELS.register_module()
class BoxesOnlyHead(BaseSliceHead):
    """A slice head that reads the raw regression output only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fc = nn.Linear(self.num_rois * 5, self.num_classes)

    def forward(self, rois: RankedRoIs):
        return dict(logits=self.fc(torch.cat([rois.scores[..., None], rois.deltas], -1).flatten(1)))


@pytest.fixture(scope='module')
def model():
    return build_model().eval()


@pytest.fixture(scope='module')
def features(model):
    data = model.data_preprocessor(batch(slice_sample(), slice_sample(), seed=3))
    with torch.no_grad():
        x = model.extract_feat(data['inputs'])
    return x, model._propose(x, data['data_samples']), data['data_samples']


def metas(samples):
    return [sample.metainfo for sample in samples]


# --- the classification branch ---------------------------------------------------------------------------------------


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
    branch = build_model({'roi_head.bbox_head.num_classes': 2}).roi_head.classification_branch
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


# --- the copy --------------------------------------------------------------------------------------------------------


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


# --- training of the segmentation branch -----------------------------------------------------------------------------


def test_which_rois_are_positive(model):
    """IoU >= 0.75 positive, below 0.5 negative, between ignored, and no low-quality match."""
    lesion = torch.tensor([[0.0, 0.0, 100.0, 100.0]])
    heights = [100.0, 75.0, 74.9, 50.0, 49.9, 10.0]  # IoU with the lesion: height / 100
    priors = torch.tensor([[0.0, 0.0, 100.0, h] for h in heights])
    truth = InstanceData(bboxes=lesion, labels=torch.zeros(1, dtype=torch.long))

    def assign(rois):
        return model.roi_head.bbox_assigner.assign(InstanceData(priors=rois), truth)

    assert assign(priors).gt_inds.tolist() == [1, 1, -1, -1, 0, 0]
    assert assign(priors[2:]).gt_inds.tolist() == [-1, -1, 0, 0]
    result = model.roi_head.bbox_sampler.sample(assign(priors[2:]), InstanceData(priors=priors[2:]), truth)
    assert torch.equal(result.pos_priors, lesion)  # the ground truth itself is a proposal
    assert torch.equal(result.neg_priors, priors[4:])
    sampler = model.roi_head.bbox_sampler
    assert (sampler.num, sampler.pos_fraction, sampler.add_gt_as_proposals) == (256, 0.75, True)
    many = priors[:1].repeat(300, 1)
    assert len(sampler.sample(assign(many), InstanceData(priors=many), truth).pos_inds) == 192


def test_box_losses_by_hand(model):
    """Cross-entropy over all sampled RoIs; smooth L1 summed over positives, divided by the number of sampled RoIs."""
    lesion = torch.tensor([[10.0, 20.0, 50.0, 80.0]])
    priors = torch.tensor([[12.0, 20.0, 50.0, 78.0], [90.0, 90.0, 100.0, 110.0], [60.0, 10.0, 80.0, 20.0]])
    truth = InstanceData(bboxes=lesion, labels=torch.zeros(1, dtype=torch.long))
    head = model.roi_head
    assigned = head.bbox_assigner.assign(InstanceData(priors=priors), truth)
    result = head.bbox_sampler.sample(assigned, InstanceData(priors=priors), truth)
    rois = torch.cat([torch.zeros(4, 1), result.priors], 1)
    logits = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    deltas = 12 * torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    losses = head.bbox_head.loss_and_target(logits, deltas, rois, [result], head.train_cfg)['loss_bbox']
    labels = [0, 0, 1, 1]  # lesion, lesion, background, background
    cross_entropy = [math.log(sum(math.exp(v) for v in row)) - row[label] for row, label in zip(logits.tolist(), labels)]
    assert losses['loss_cls'].item() == pytest.approx(sum(cross_entropy) / 4, rel=1e-5)
    smooth = 0.0
    for (a, b, c, d), delta in zip(result.pos_priors.tolist(), deltas.tolist()):
        x1, y1, x2, y2 = lesion[0].tolist()
        target = [
            10 * ((x1 + x2) - (a + c)) / 2 / (c - a),
            10 * ((y1 + y2) - (b + d)) / 2 / (d - b),
            5 * math.log((x2 - x1) / (c - a)),
            5 * math.log((y2 - y1) / (d - b)),
        ]
        smooth += sum(0.5 * e**2 if e < 1 else e - 0.5 for e in (abs(p - t) for p, t in zip(delta, target)))
    assert len(result.pos_priors) == 2 and losses['loss_bbox'].item() == pytest.approx(smooth / 4, rel=1e-4)


def test_losses_are_bitwise_reproducible(features):
    x, proposals, _ = features

    def losses():
        head = build_model().roi_head
        torch.manual_seed(5)
        found = copy.deepcopy(proposals)  # the training of the branch renames their boxes
        return {
            **head.loss(x, found, [lesion_sample(), lesion_sample(LESIONS[:1])]),
            **head.loss_slice(x, proposals, [slice_sample(0), slice_sample(2)]),
        }

    first, second = losses(), losses()
    assert set(first) == {'loss_cls', 'acc', 'loss_bbox', 'loss_mask', 'loss_slice', 'slice_acc'}
    for name, value in first.items():
        assert torch.isfinite(value).all() and torch.equal(value, second[name]), (name, value, second[name])
    assert all(first[name] > 0 for name in ('loss_cls', 'loss_bbox', 'loss_mask', 'loss_slice'))


# --- other slice heads, wrong use ------------------------------------------------------------------------------------


def head_config(**changes):
    config = model_config().roi_head
    config.update(train_cfg=None, test_cfg=model_config().test_cfg.rcnn)
    for key, value in changes.items():
        config[key] = value  # update() would merge
    return config


@pytest.mark.parametrize('with_mask', [True, False])
def test_slice_head_that_reads_only_boxes(features, with_mask):
    init_default_scope('mmdet')
    slice_head = dict(type='BoxesOnlyHead', num_classes=3, num_rois=12)
    config = head_config(cls_head=slice_head, roi_selector=dict(nms_iou=0.75))
    if not with_mask:
        config.update(mask_head=None, mask_roi_extractor=None)
    head = MODELS.build(config)
    assert head.classification_branch.mask_head is None
    assert (head.classification_branch.selector.num_rois, head.classification_branch.selector.nms_iou) == (12, 0.75)
    head.copy_branch()
    x, proposals, samples = features
    ranked = head.rank_rois(x, proposals, metas(samples))
    assert ranked.mask_features is None and ranked.deltas.shape == (2, 12, 4)
    head.loss_slice(x, proposals, samples)['loss_slice'].backward()
    assert head.cls_head.fc.weight.grad.abs().sum() > 0
    for prediction in head.predict_slice(x, proposals, samples):
        assert set(prediction.keys()) == {'label', 'score', 'logits', 'roi_boxes', 'roi_scores'}


@torch.no_grad()
def test_boxes_are_returned_in_original_pixels(model, features):
    x, proposals, samples = features
    scaled = [copy.deepcopy(sample) for sample in samples]
    for sample in scaled:
        sample.set_metainfo(dict(scale_factor=(0.5, 2.0)))
    network = model.roi_head.predict_slice(x, proposals, scaled, rescale=False)
    original = model.roi_head.predict_slice(x, proposals, scaled, rescale=True)
    for a, b in zip(network, original):
        torch.testing.assert_close(b.roi_boxes, a.roi_boxes * torch.tensor([2.0, 0.5, 2.0, 0.5]))


def test_options_are_passed_to_the_branch():
    init_default_scope('mmdet')
    config = head_config(
        roi_selector=dict(stretch='random', nms_iou=0.5, min_area=2.0), mask_feature_head=dict(extra_conv=True)
    )
    config.mask_head.soft_targets = True
    head = MODELS.build(config)
    selector = head.classification_branch.selector
    assert (selector.stretch, selector.nms_iou, selector.min_area, selector.num_rois) == ('random', 0.5, 2.0, 8)
    assert head.mask_head.soft_targets and head.classification_branch.mask_head.extra_conv is not None
    defaults = MODELS.build(head_config(roi_selector=None)).classification_branch.selector
    assert (defaults.stretch, defaults.nms_iou, defaults.min_area) == ('even', 0.25, 1e-5)


def test_bad_arguments():
    init_default_scope('mmdet')
    with pytest.raises(ValueError, match='AffinityClsHead reads mask features; give the RoI head a mask_head'):
        MODELS.build(head_config(mask_head=None, mask_roi_extractor=None))
    with pytest.raises(ValueError, match="not 'odd'"):
        MODELS.build(head_config(roi_selector=dict(stretch='odd')))
