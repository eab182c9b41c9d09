"""The model of the base config: names and shapes of its parameters, and the paper's settings."""

import hashlib

import pytest
import torch
from mmdet.models.losses import L1Loss, SmoothL1Loss
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from model_helpers import build_model, model_config
from torch import nn

pytestmark = pytest.mark.usefixtures('one_thread')

# SHA-256 of the sorted lines 'name: shape' of the state dict for C* = 8. If this changes, checkpoints no longer load.
STATE_DICT_SHA256 = '366faebffd43933b71306fac2ba827daa8f7afbeb5d0fd1411bda1372d4edb99'


@pytest.fixture(scope='module')
def full():
    init_default_scope('mmdet')
    return MODELS.build(model_config(narrow=False))


def test_parameter_names_are_pinned(full):
    lines = sorted(f'{name}: {tuple(value.shape)}' for name, value in full.state_dict().items())
    prefixes = {'.'.join(line.split(':')[0].split('.')[:2]) for line in lines if not line.startswith('backbone')}
    assert prefixes == {
        'data_preprocessor.mean',
        'data_preprocessor.std',
        'neck.lateral_convs',
        'neck.fpn_convs',
        'rpn_head.rpn_conv',
        'rpn_head.rpn_cls',
        'rpn_head.rpn_reg',
        'roi_head.bbox_head',
        'roi_head.mask_head',
        'roi_head.classification_branch',
        'roi_head.cls_head',
    }
    assert len(lines) == 184
    assert hashlib.sha256('\n'.join(lines).encode()).hexdigest() == STATE_DICT_SHA256, '\n'.join(lines)


def test_shapes_match_the_paper(full):
    shapes = {name: tuple(value.shape) for name, value in full.state_dict().items()}
    assert not [name for name in shapes if 'layer4' in name]
    expected = {
        'backbone.conv1.weight': (64, 3, 7, 7),
        'backbone.layer3.1.conv2.weight': (256, 256, 3, 3),
        'neck.lateral_convs.0.conv.weight': (256, 256, 1, 1),
        'neck.fpn_convs.0.conv.weight': (256, 256, 3, 3),
        'rpn_head.rpn_cls.weight': (30, 256, 1, 1),
        'rpn_head.rpn_reg.weight': (120, 256, 1, 1),
        'roi_head.bbox_head.shared_fcs.0.weight': (128, 12544),
        'roi_head.bbox_head.shared_fcs.1.weight': (128, 128),
        'roi_head.bbox_head.fc_cls.weight': (2, 128),
        'roi_head.bbox_head.fc_reg.weight': (4, 128),
        'roi_head.mask_head.convs.0.conv.weight': (256, 256, 3, 3),
        'roi_head.mask_head.upsample.weight': (256, 256, 2, 2),
        'roi_head.mask_head.conv_logits.weight': (1, 256, 1, 1),
        'roi_head.cls_head.affinity.matrix': (8, 8),
        'roi_head.cls_head.affinity.vector': (8,),
        'roi_head.cls_head.classifier.4.weight': (3, 128),
    }
    assert {name: shapes[name] for name in expected} == expected
    branch = {name.replace('classification_branch.', ''): shape for name, shape in shapes.items() if 'branch' in name}
    assert branch == {
        name: shape
        for name, shape in shapes.items()
        if name.startswith(('roi_head.bbox_head', 'roi_head.mask_head')) and 'logits' not in name
    }


def test_settings_match_the_paper(full):
    head = full.roi_head
    assert (head.bbox_head.num_classes, head.mask_head.num_classes, head.cls_head.num_classes) == (1, 1, 3)
    for extractor, size in ((head.bbox_roi_extractor, 7), (head.mask_roi_extractor, 14)):
        (align,) = extractor.roi_layers
        assert (align.output_size, align.sampling_ratio, align.aligned) == ((size, size), 2, False)
        assert align.spatial_scale == 1 / 16
    assert head.classification_branch.bbox_head.bbox_coder.stds == head.bbox_head.bbox_coder.stds == [0.1, 0.1, 0.2, 0.2]
    assert full.rpn_head.bbox_coder.stds == [1, 1, 1, 1]
    box = torch.tensor([[99.0, 99.0, 101.0, 101.0]])
    for coder in (full.rpn_head.bbox_coder, head.bbox_head.bbox_coder, head.classification_branch.bbox_head.bbox_coder):
        assert list(coder.means) == [0, 0, 0, 0] and coder.clip_border
        x1, _, x2, _ = coder.decode(box, torch.tensor([[0.0, 0.0, 999.0, 0.0]]))[0].tolist()
        assert x2 - x1 == pytest.approx(2 * 1000 / 16)  # growth is limited, moves are not
        x1, *_ = coder.decode(box, torch.tensor([[999.0, 0.0, 0.0, 0.0]]))[0].tolist()
        assert x1 == pytest.approx(99 + 999 * coder.stds[0] * 2)
    for cfg in (full.test_cfg.rpn, full.train_cfg.rpn_proposal):
        assert (cfg.nms_pre, cfg.max_per_img, cfg.nms.iou_threshold, cfg.min_bbox_size) == (400, 200, 0.75, -1)
    cfg = full.test_cfg.rcnn
    assert (cfg.score_thr, cfg.nms.iou_threshold, cfg.max_per_img, cfg.mask_thr_binary) == (0.05, 0.5, 100, 0.5)
    selector = head.classification_branch.selector
    assert (selector.num_rois, selector.nms_iou, selector.min_area, selector.stretch) == (8, 0.25, 1e-5, 'even')
    assert isinstance(full.rpn_head.loss_bbox, L1Loss) and full.train_cfg.rcnn.mask_size == 28
    assert isinstance(head.bbox_head.loss_bbox, SmoothL1Loss) and head.bbox_head.loss_bbox.beta == 1
    losses = [
        full.rpn_head.loss_cls,
        full.rpn_head.loss_bbox,
        head.bbox_head.loss_cls,
        head.bbox_head.loss_bbox,
        head.mask_head.loss_mask,
        head.cls_head.loss_cls,
    ]
    assert {loss.loss_weight for loss in losses} == {1.0}
    assert head.cls_head.class_reduction == 'mean' and not head.mask_head.soft_targets
    assert all(p.requires_grad != ('classification_branch' in name) for name, p in full.named_parameters())


def test_narrow_model_has_the_same_structure(full):
    assert list(build_model().state_dict()) == list(full.state_dict())


@torch.no_grad()
def test_one_feature_map_of_stride_16(full):
    x = full.eval().extract_feat(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape) for level in x] == [(1, 256, 4, 6)]
    assert x[0].min() < 0  # no activation after the neck
    assert not [m for m in full.neck.modules() if isinstance(m, (nn.ReLU, nn.BatchNorm2d))]
