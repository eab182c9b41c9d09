"""The whole model: complete predictions that do not depend on the batch, for all kinds of slices."""

import pytest
import torch
from mmengine.structures import InstanceData
from model_helpers import SIZE, allow_float64, batch, build_model, images, lesion_sample, slice_sample, total
from torch import nn

pytestmark = pytest.mark.usefixtures('one_thread')

SLICE_FIELDS = {
    'label': (1,),
    'score': (3,),
    'logits': (3,),
    'roi_boxes': (8, 4),
    'roi_scores': (8,),
    'roi_weights': (8,),
    'roi_features': (8, 16),
    'affinity': (8, 16),
    'features': (16,),
}


@pytest.fixture(scope='module')
def model():
    return build_model().eval()


@torch.no_grad()
def predict(model, data):
    return model.eval().val_step(data)


def some_slices():
    return [slice_sample(img_path=f'{i}.png') for i in range(3)]


def assert_complete(sample, size=(SIZE, SIZE)):
    assert {key: tuple(sample.pred_slice.get(key).shape) for key in sample.pred_slice.keys()} == SLICE_FIELDS
    assert sample.pred_slice.label.dtype == torch.long and 0 <= sample.pred_slice.label < 3
    assert all(torch.isfinite(sample.pred_slice.get(key)).all() for key in SLICE_FIELDS)
    found = sample.pred_instances
    assert found.bboxes.shape == (len(found), 4) and found.scores.shape == found.labels.shape == (len(found),)
    assert found.masks.shape == (len(found), *size) and found.masks.dtype == torch.bool
    assert found.labels.dtype == torch.long


def test_prediction_is_complete_and_explained(model):
    (sample,) = predict(model, batch(slice_sample()))
    assert_complete(sample)
    assert 0 < len(sample.pred_instances) <= 100 and (sample.pred_instances.scores > 0.05).all()
    result = sample.pred_slice
    torch.testing.assert_close(result.features, result.roi_features.t() @ result.roi_weights, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result.score, result.logits.sigmoid())
    assert (sample.pred_instances.scores.diff() <= 0).all()


def test_prediction_is_bitwise_reproducible(model):
    first, second = (predict(model, batch(slice_sample()))[0] for _ in range(2))
    for key in SLICE_FIELDS:
        assert torch.equal(first.pred_slice.get(key), second.pred_slice.get(key))
    assert torch.equal(first.pred_instances.masks, second.pred_instances.masks)


def assert_same(one, other):
    for key in SLICE_FIELDS:
        torch.testing.assert_close(one.pred_slice.get(key), other.pred_slice.get(key), rtol=1e-5, atol=1e-5, msg=key)
    assert len(one.pred_instances) == len(other.pred_instances)
    for key in ('bboxes', 'scores'):
        torch.testing.assert_close(one.pred_instances[key], other.pred_instances[key], rtol=1e-5, atol=1e-5)
    assert torch.equal(one.pred_instances.masks, other.pred_instances.masks)


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 0, 1), (1, 1, 0)])
def test_prediction_does_not_depend_on_the_batch(order, monkeypatch):
    # In float64, because float32 convolutions differ in the last bits with the batch size, which grows up to the logits.
    allow_float64(monkeypatch)
    model = build_model().eval().double()

    @torch.no_grad()
    def run(*inputs):
        data = model.data_preprocessor(dict(inputs=list(inputs), data_samples=some_slices()[: len(inputs)]))
        return model.predict(data['inputs'].double(), data['data_samples'])

    slices = images(3, seed=7)
    singles = [run(image)[0] for image in slices]
    together = run(*(slices[i] for i in order))
    assert len({round(sample.pred_slice.logits[0].item(), 3) for sample in singles}) == 3
    for i, sample in zip(order, together):
        assert_same(sample, singles[i])


def test_prediction_does_not_depend_on_the_batch_in_float32(model):
    slices = images(3, seed=7)
    singles = [predict(model, dict(inputs=[image], data_samples=[slice_sample()]))[0] for image in slices]
    together = predict(model, dict(inputs=slices, data_samples=some_slices()))
    for one, sample in zip(singles, together):
        single, joint = one.pred_slice, sample.pred_slice
        torch.testing.assert_close(joint.score, single.score, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(joint.roi_boxes, single.roi_boxes, rtol=1e-5, atol=1e-4)
        # Every normalisation over eight RoIs amplifies the last bits in which convolutions of other batch sizes differ.
        scale = single.logits.abs().max()
        torch.testing.assert_close(joint.logits / scale, single.logits / scale, rtol=0, atol=1e-4)
        assert torch.equal(sample.pred_instances.masks, one.pred_instances.masks)


def test_batch_training_equals_the_mean_over_slices(monkeypatch):
    """Loss and gradient of n slices are the means over the slices, running averages of the slice head included."""

    def run(*indices):
        built = build_model().double().train()
        built.set_stage('classification')
        data = dict(inputs=[slices[i] for i in indices], data_samples=[slice_sample(i) for i in indices])
        data = built.data_preprocessor(data)
        loss = total(built.loss(data['inputs'].double(), data['data_samples']))
        loss.backward()
        state = {name: value for name, value in built.state_dict().items() if 'running' in name}
        return loss.detach(), {n: p.grad for n, p in built.named_parameters() if p.grad is not None}, state

    allow_float64(monkeypatch)
    slices = images(3, seed=7)
    singles = [run(i) for i in range(3)]
    for indices in ((0, 1, 2), (2, 0, 1)):
        loss, gradients, state = run(*indices)
        torch.testing.assert_close(loss, sum(s[0] for s in singles) / 3)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, sum(s[1][name] for s in singles) / 3, rtol=1e-5, atol=1e-7, msg=name)
        for name, value in state.items():
            torch.testing.assert_close(value, sum(s[2][name] for s in singles) / 3, rtol=1e-6, atol=1e-8, msg=name)


def test_boxes_and_masks_in_original_pixels(model):
    # An original of 64 x 256 (height, width) that was resized to 128 x 128.
    (plain,) = predict(model, batch(slice_sample()))
    (scaled,) = predict(model, batch(slice_sample(ori_shape=(64, 256), scale_factor=(0.5, 2.0))))
    factor = torch.tensor([2.0, 0.5, 2.0, 0.5])
    assert_complete(scaled, (64, 256))
    torch.testing.assert_close(scaled.pred_slice.roi_boxes, plain.pred_slice.roi_boxes * factor)
    torch.testing.assert_close(scaled.pred_instances.bboxes, plain.pred_instances.bboxes * factor)
    assert torch.equal(scaled.pred_slice.logits, plain.pred_slice.logits)


@torch.no_grad()
def test_a_mask_pixel_is_lesion_where_its_logit_is_positive(model):
    """A box of 28 x 28 whole pixels makes one mask logit per pixel."""
    head = model.roi_head.mask_head
    logits = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = InstanceData(bboxes=torch.tensor([[10.0, 20.0, 38.0, 48.0]]), labels=torch.zeros(1, dtype=torch.long))
    (result,) = head.predict_by_feat([logits], [found], [slice_sample().metainfo], model.roi_head.test_cfg, rescale=True)
    expected = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    expected[0, 20:48, 10:38] = logits[0, 0] > 0
    assert torch.equal(result.masks, expected)


@pytest.mark.parametrize('mode', ['detection', 'classification'])
def test_single_task_modes(model, mode):
    (both,) = predict(model, batch(slice_sample()))
    part = build_model()
    part.mode = mode
    (sample,) = predict(part, batch(slice_sample()))
    assert ('pred_slice' in sample) == (mode == 'classification')
    assert ('pred_instances' in sample) == (mode == 'detection')
    if mode == 'classification':
        assert torch.equal(sample.pred_slice.logits, both.pred_slice.logits)
    else:
        assert torch.equal(sample.pred_instances.masks, both.pred_instances.masks)


def test_published_variant_is_reachable():
    changed = build_model(
        {
            'roi_head.cls_head.refinement.num_stages': 9,
            'roi_head.cls_head.refinement.shared': True,
            'roi_head.mask_feature_head.extra_conv': True,
            'data_preprocessor.normalization': 'slice',
            'roi_head.mask_head.soft_targets': True,
            'roi_head.roi_selector.stretch': 'random',
            'roi_head.cls_head.class_reduction': 'sum',
            'roi_head.cls_head.num_affinities': 16,
        }
    )
    for data in (batch(lesion_sample()), batch(slice_sample())):
        changed.train().set_stage(data['data_samples'][0].task)
        data = changed.data_preprocessor(data)
        losses = changed.loss(**dict(zip(('batch_inputs', 'batch_data_samples'), data.values())))
        assert torch.isfinite(total(losses))
    (sample,) = predict(changed, batch(slice_sample()))
    assert sample.pred_slice.affinity.shape == (16, 16)


# --- slices without lesion, without box, without sense ---------------------------------------------------------------


def without_boxes():
    """Every decoded box is beyond the right border and is clipped to zero area."""
    built = build_model()
    nn.init.zeros_(built.roi_head.bbox_head.fc_reg.weight)
    built.roi_head.bbox_head.fc_reg.bias.data.copy_(torch.tensor([1e7, 0.0, 0.0, 0.0]))
    built.roi_head.copy_branch()
    return built


def without_detections():
    """Every RoI is background."""
    built = build_model()
    built.roi_head.bbox_head.fc_cls.bias.data.copy_(torch.tensor([-1e4, 1e4]))
    built.roi_head.copy_branch()
    return built


def test_slice_without_boxes_uses_the_best_proposals():
    built = without_boxes()
    (sample,) = predict(built, batch(slice_sample()))
    assert_complete(sample)
    data = built.data_preprocessor(batch(slice_sample()))
    with torch.no_grad():
        proposals = built._propose(built.extract_feat(data['inputs']), data['data_samples'])[0]
    assert torch.equal(sample.pred_slice.roi_boxes, proposals.bboxes[:8])


def test_a_slice_without_any_detection():
    (sample,) = predict(without_detections(), batch(slice_sample(ori_shape=(64, 256), scale_factor=(0.5, 2.0))))
    assert_complete(sample, (64, 256))
    assert sample.pred_instances.masks.shape == (0, 64, 256)


def test_batch_in_which_one_slice_has_no_detection(model):
    built = build_model()
    samples = predict(built, dict(inputs=images(2, seed=7), data_samples=some_slices()[:2]))
    best = sorted(sample.pred_instances.scores[0].item() for sample in samples)
    built.roi_head.test_cfg['score_thr'] = sum(best) / 2
    samples = predict(built, dict(inputs=images(2, seed=7), data_samples=some_slices()[:2]))
    for sample in samples:
        assert_complete(sample)
    assert sorted(len(sample.pred_instances) > 0 for sample in samples) == [False, True]


@pytest.mark.parametrize('build', [build_model, without_boxes, without_detections])
@pytest.mark.parametrize('sample', [slice_sample(), lesion_sample(), lesion_sample([])], ids=['slice', 'lesions', 'no lesion'])
def test_every_slice_trains(build, sample):
    built = build().train()
    built.set_stage(sample.task)
    data = built.data_preprocessor(batch(sample))
    losses = built.loss(data['inputs'], data['data_samples'])
    loss = total(losses)
    assert torch.isfinite(loss)
    loss.backward()
    # Nothing that should train is left without a gradient, or distributed training would hang.
    for name, parameter in built.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    if sample.task == 'segmentation' and not len(sample.gt_instances):
        assert losses['loss_mask'] == 0 and losses['loss_bbox'] == 0


@pytest.mark.parametrize('sample', [slice_sample(), lesion_sample()], ids=['slice', 'lesions'])
def test_mixed_precision(sample):
    built = build_model().train()
    built.set_stage(sample.task)
    data = built.data_preprocessor(batch(sample))
    with torch.autocast('cpu', torch.bfloat16):
        losses = built.loss(data['inputs'], data['data_samples'])
    total(losses).backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in built.parameters() if p.requires_grad)


@torch.no_grad()
@pytest.mark.parametrize('dtype, tolerance', [(torch.bfloat16, 0.15), (torch.float16, 0.02)], ids=str)
def test_mixed_precision_changes_predictions_little(model, dtype, tolerance):
    """Features and slice head on the same RoIs change little; the selected RoIs may change, see docs/speed.md."""
    model.eval()
    samples = some_slices()
    data = model.data_preprocessor(dict(inputs=images(3, seed=4), data_samples=samples))
    x = model.extract_feat(data['inputs'])
    ranked = model.roi_head.rank_rois(x, model._propose(x, samples), [sample.metainfo for sample in samples])
    expected = model.roi_head.cls_head(ranked)['logits']
    with torch.autocast('cpu', dtype):
        features = model.extract_feat(data['inputs'])
        logits = model.roi_head.cls_head(ranked)['logits']
    for found, exact in ((features[0], x[0]), (logits, expected)):
        drift = (found.float() - exact).abs().max() / exact.abs().max()
        assert 0 < drift < tolerance, drift


@pytest.mark.parametrize('size', [64, 96])
def test_other_image_sizes(model, size):
    (sample,) = predict(model, batch(slice_sample(size=size)))
    assert_complete(sample, (size, size))


@pytest.mark.parametrize('level', [0, 255])
def test_a_uniform_slice(model, level):
    image = torch.full((1, SIZE, SIZE), level, dtype=torch.uint8)
    assert_complete(predict(model, dict(inputs=[image], data_samples=[slice_sample()]))[0])


def test_non_finite_values_are_an_error(model):
    image = torch.full((1, SIZE, SIZE), float('nan'))
    with pytest.raises(ValueError, match="network's output for 7.png is not finite"):
        predict(model, dict(inputs=[image], data_samples=[slice_sample(img_path='7.png')]))
    for data in (batch(slice_sample()), batch(lesion_sample())):
        broken = build_model().train()
        broken.neck.fpn_convs[0].conv.bias.data[0] = float('inf')
        data = broken.data_preprocessor(data)
        with pytest.raises(ValueError, match='not finite'):
            broken.loss(data['inputs'], data['data_samples'])


def test_bad_arguments(model):
    with pytest.raises(ValueError, match="mode of test_cfg must be one of .*, not 'segmentation'"):
        build_model({'test_cfg.mode': 'segmentation'})
    with pytest.raises(ValueError, match="stage must be 'segmentation' or 'classification', not 'both'"):
        model.set_stage('both')
    data = model.data_preprocessor(batch(slice_sample(), lesion_sample()))
    with pytest.raises(ValueError, match='one task'):
        model.loss(data['inputs'], data['data_samples'])
