"""The model of the steady configs: input of its slice head, training, and robustness to noise."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from model_helpers import allow_float64, batch, build_model, model_config, slice_sample

pytestmark = pytest.mark.usefixtures('one_thread')

STEADY = {
    'roi_head.roi_selector': dict(_delete_=True, type='SoftRoISelector', num_candidates=12),
    'roi_head.cls_head.norm_cfg': dict(type='GN', num_groups=4),
    'test_cfg.rpn.max_per_img': 400,
    'test_cfg.rpn.nms.iou_threshold': 1.0,
}


@pytest.fixture(scope='module')
def steady():
    return build_model(STEADY).eval()


@torch.no_grad()
def logits_of(model, noise=0.0, seed=0, mode='classification', slices=4):
    """Logits of slices whose features vary by a relative amount."""
    data = model.data_preprocessor(batch(*(slice_sample() for _ in range(slices)), seed=7))
    generator = torch.Generator().manual_seed(seed)
    (level,) = model.extract_feat(data['inputs'].to(model.neck.fpn_convs[0].conv.weight))
    level = level * (1 + noise * torch.randn(level.shape, generator=generator, dtype=level.dtype))
    proposals = model._propose((level,), data['data_samples'])
    return torch.stack([p.logits for p in model.roi_head.predict_slice((level,), proposals, data['data_samples'])])


def test_candidates_and_their_weights(steady):
    (sample,) = steady.val_step(batch(slice_sample()))
    result = sample.pred_slice
    assert result.roi_boxes.shape == (12, 4) and result.roi_weights.shape == (12,) and result.affinity.shape == (8, 16)
    torch.testing.assert_close(result.features, result.roi_features.t() @ result.roi_weights, rtol=1e-4, atol=1e-5)
    assert len(sample.pred_instances.bboxes) > 0


def test_single_pass_for_both_tasks_gives_equal_results(steady):
    (sample,) = steady.val_step(batch(slice_sample(), seed=7))
    torch.testing.assert_close(sample.pred_slice.logits, logits_of(steady, slices=1)[0], rtol=1e-4, atol=1e-5)


def test_the_classification_stage_trains_the_head_and_the_backbone():
    model = build_model(STEADY).train()
    model.set_stage('classification')
    data = model.data_preprocessor(batch(slice_sample(0), slice_sample(2)))
    model.loss(data['inputs'], data['data_samples'])['loss_slice'].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith(('backbone', 'neck', 'roi_head.cls_head')), name
    assert model.roi_head.cls_head.affinity.matrix.grad.abs().sum() > 0


def test_small_noise_causes_small_changes(monkeypatch):
    """The output is continuous: a tenth of the noise causes about a tenth of the change."""
    allow_float64(monkeypatch)
    model = build_model(STEADY).eval().double()
    exact = logits_of(model)
    changes = [
        max((logits_of(model, noise, seed) - exact).abs().max().item() for seed in range(8)) for noise in (1e-4, 1e-5, 1e-6)
    ]
    assert changes[0] > 4 * changes[1] > 16 * changes[2] > 0, changes
    assert changes[2] < 1e-3


def test_hard_selection_changes_more(monkeypatch):
    allow_float64(monkeypatch)
    model = build_model({'roi_head.cls_head.norm_cfg': dict(type='GN', num_groups=4)}).eval().double()
    exact = logits_of(model, slices=16)
    largest = max((logits_of(model, 1e-4, seed, slices=16) - exact).abs().max().item() for seed in range(8))
    soft = build_model(STEADY).eval().double()
    exact = logits_of(soft, slices=16)
    assert largest > 10 * max((logits_of(soft, 1e-4, seed, slices=16) - exact).abs().max().item() for seed in range(8))


def test_head_that_reads_a_list_is_rejected():
    config = model_config(STEADY).roi_head
    config.cls_head = dict(type='SingleShotClsHead', num_classes=3, num_rois=8)
    config.update(train_cfg=None, test_cfg=model_config().test_cfg.rcnn)
    with pytest.raises(ValueError, match='SingleShotClsHead reads a list of ranked RoIs'):
        MODELS.build(config)


def test_several_lesion_classes():
    classes = {f'roi_head.{head}.num_classes': 2 for head in ('bbox_head', 'mask_head')}
    branch = build_model({**STEADY, **classes}).roi_head.classification_branch
    proposals = torch.tensor([[10.0, 10.0, 30.0, 30.0], [60.0, 60.0, 90.0, 100.0], [0.0, 0.0, 9.0, 9.0]])
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, -1.0, 4.0], [-9.0, -9.0, 9.0]])
    found = InstanceData(bboxes=proposals, scores=torch.tensor([0.9, 0.8, 1e-6]))
    boxes, scores, _, weights = branch._select(logits, torch.zeros(3, 8), found, dict(img_shape=(128, 128)))
    expected = 1 - logits.softmax(1)[:, 2]
    torch.testing.assert_close(scores[:2], expected[:2])
    torch.testing.assert_close(weights[:2].sum(1), expected[:2], rtol=1e-4, atol=1e-4)
    assert torch.equal(boxes[:2], proposals[:2])


def test_the_last_proposal_has_no_weight(steady):
    level = torch.zeros(1, 16, 8, 8)
    found = InstanceData(
        bboxes=torch.tensor([[8.0, 8.0, 30.0, 30.0], [40.0, 40.0, 60.0, 70.0]]), scores=torch.tensor([0.9, 0.1])
    )
    ranked = steady.roi_head.rank_rois((level,), [found], [slice_sample().metainfo])
    assert ranked.rank_weights.shape == (1, 12, 8) and (ranked.rank_weights[0, 1:] == 0).all()
