"""The RoI head: training of the boxes against loops, other slice heads, and wrong use."""

import copy
import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from model_helpers import (
    LESIONS,
    build_model,
    lesion_sample,
    model_config,
    slice_sample,
)
from torch import nn

from mmaffinity.models import BaseSliceHead
from mmaffinity.structures import RankedRoIs

pytestmark = pytest.mark.usefixtures('one_thread')


@MODELS.register_module()
class BoxesOnlyHead(BaseSliceHead):
    """A slice head that reads the raw regression output only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fc = nn.Linear(self.num_rois * 5, self.num_classes)

    def forward(self, rois: RankedRoIs):
        return dict(logits=self.fc(torch.cat([rois.scores[..., None], rois.deltas], -1).flatten(1)))


def metas(samples):
    return [sample.metainfo for sample in samples]


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
