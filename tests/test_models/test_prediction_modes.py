"""What runs in each mode and stage, and that omitting the rest changes nothing."""

import functools

import pytest
import torch
from model_helpers import allow_float64, batch, build_model, images, lesion_sample, slice_sample

# Parts that serve only one task.
SEGMENTATION_ONLY = ('roi_head.bbox_head', 'roi_head.mask_head')
CLASSIFICATION_ONLY = (
    'roi_head.classification_branch.bbox_head',
    'roi_head.classification_branch.mask_head',
    'roi_head.cls_head',
)


@pytest.fixture(scope='module')
def model():
    return build_model().eval()


@torch.no_grad()
def predict(model, mode='both', num=2):
    model.mode = mode
    samples = [slice_sample(scale_factor=(0.5, 0.5), ori_shape=(256, 256)) for _ in range(num)]
    try:
        return model.val_step(dict(inputs=images(num, seed=4), data_samples=samples))
    finally:
        model.mode = 'both'


class Calls:
    """Counts the calls of modules by name."""

    def __init__(self, model, names):
        self.counts = dict.fromkeys(names, 0)
        modules = dict(model.named_modules())
        self.handles = [modules[name].register_forward_pre_hook(self._counter(name)) for name in names]

    def _counter(self, name):
        def count(*_):
            self.counts[name] += 1

        return count

    def __enter__(self):
        return self.counts

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def assert_equal(one, other, exact=True):
    compare = torch.equal if exact else lambda a, b: torch.allclose(a, b, rtol=1e-5, atol=1e-5)
    for a, b in zip(one, other, strict=True):
        assert set(a.all_keys()) == set(b.all_keys())
        for field in ('pred_slice', 'pred_instances'):
            if field in a:
                assert list(a.get(field).keys()) == list(b.get(field).keys())
                for key, value in a.get(field).items():
                    assert compare(value, b.get(field).get(key)), key


def separately(model):
    """Both results from the two independent methods."""
    both = predict(model, 'classification')
    for sample, detected in zip(both, predict(model, 'detection')):
        sample.pred_instances = detected.pred_instances
    return both


def test_modes_compute_only_what_is_requested(model):
    names = ('backbone', 'bbox_roi_extractor', *SEGMENTATION_ONLY, *CLASSIFICATION_ONLY)
    names = [name if name == 'backbone' or name.startswith('roi') else f'roi_head.{name}' for name in names]
    for mode, idle in (('classification', SEGMENTATION_ONLY), ('detection', CLASSIFICATION_ONLY)):
        with Calls(model, names) as counts:
            samples = predict(model, mode)
        assert {name for name, count in counts.items() if count == 0} == set(idle)
        assert all(
            ('pred_slice' in s, 'pred_instances' in s) == (mode != 'detection', mode != 'classification') for s in samples
        )


def test_box_head_runs_once_if_weights_are_equal(model):
    names = ['roi_head.bbox_roi_extractor', 'roi_head.bbox_head', 'roi_head.classification_branch.bbox_head']
    with Calls(model, names) as counts:
        together = predict(model)
    assert counts == dict(zip(names, (1, 1, 0)))
    assert all(len(sample.pred_instances) for sample in together)
    assert_equal(together, separately(model))


def test_both_box_heads_run_if_weights_differ():
    model = build_model().eval()
    before = predict(model)
    names = ['roi_head.bbox_roi_extractor', 'roi_head.bbox_head', 'roi_head.classification_branch.bbox_head']
    head = model.roi_head.classification_branch.bbox_head
    for change in (
        lambda: head.fc_cls.bias.data.add_(torch.tensor([0.5, 0.0])),  # not registered by version counters
        lambda: head.load_state_dict({k: v + 0.01 for k, v in head.state_dict().items()}),
    ):
        change()
        with Calls(model, names) as counts:
            together = predict(model)
        assert counts == dict.fromkeys(names, 1)
        assert_equal(together, separately(model))
        assert not torch.equal(together[0].pred_slice.roi_scores, before[0].pred_slice.roi_scores)
        assert torch.equal(together[0].pred_instances.bboxes, before[0].pred_instances.bboxes)
        model.roi_head.copy_branch()
        assert_equal(predict(model), before)


def test_segmentation_branch_does_not_run_in_the_classification_stage():
    model = build_model().train()
    names = (*SEGMENTATION_ONLY, 'roi_head.classification_branch.bbox_head')
    for sample, expected in ((slice_sample(), (0, 0, 1)), (lesion_sample(), (1, 1, 0))):
        model.set_stage(sample.task)
        data = model.data_preprocessor(batch(sample))
        with Calls(model, names) as counts:
            model.loss(data['inputs'], data['data_samples'])
        assert tuple(counts.values()) == expected


# --- fast against plain ----------------------------------------------------------------------------------------------

PLAIN = {
    'backbone': dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        base_channels=8,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        norm_eval=False,
    ),
    'data_preprocessor.num_channels': 3,
    'roi_head.type': 'AffinityRoIHead',
    'roi_head.bbox_head.type': 'Shared2FCBBoxHead',
    'roi_head.mask_head.type': 'LesionMaskHead',
    'roi_head.bbox_roi_extractor.type': 'SingleRoIExtractor',
    'roi_head.mask_roi_extractor.type': 'SingleRoIExtractor',
    'roi_head.bbox_roi_extractor.roi_layer.type': 'RoIAlign',
    'roi_head.mask_roi_extractor.roi_layer.type': 'RoIAlign',
    'roi_head.mask_feature_head.type': 'MaskFeatureHead',
    'roi_head.cls_head.type': 'AffinityClsHead',
}
PUBLISHED = {
    'roi_head.cls_head.refinement.num_stages': 9,
    'roi_head.cls_head.refinement.shared': True,
    'roi_head.mask_feature_head.extra_conv': True,
    'data_preprocessor.normalization': 'slice',
}


@torch.no_grad()
def run(variant, dtype):
    model = build_model(variant).eval().to(dtype)
    samples = [slice_sample() for _ in range(2)]
    data = model.data_preprocessor(dict(inputs=images(2, seed=4), data_samples=samples))
    return model.predict(data['inputs'].to(dtype), data['data_samples'])


def largest(found, expected):
    """Largest differences of two predictions by field; the logits in units of the largest one."""
    result = {}
    for a, b in zip(found, expected, strict=True):
        scale = b.pred_slice.logits.abs().max()
        assert len(a.pred_instances) == len(b.pred_instances) > 0
        for name, one, other in (
            ('logits', a.pred_slice.logits / scale, b.pred_slice.logits / scale),
            ('roi_boxes', a.pred_slice.roi_boxes, b.pred_slice.roi_boxes),
            ('boxes', a.pred_instances.bboxes, b.pred_instances.bboxes),
            ('scores', a.pred_instances.scores, b.pred_instances.scores),
            ('masks', a.pred_instances.masks.double(), b.pred_instances.masks.double()),
        ):
            difference = (one.double() - other.double()).abs()
            value = difference.mean() if name == 'masks' else difference.max()
            result[name] = max(result.get(name, 0.0), float(value))
    return result


@pytest.mark.parametrize('variant', [{}, PUBLISHED])
def test_fast_settings_predict_like_plain_ones(variant, monkeypatch):
    with monkeypatch.context() as patch:
        allow_float64(patch)
        exact = run({**variant, **PLAIN}, torch.float64)
        differences = largest(run(variant, torch.float64), exact)
    assert all(value < 1e-7 for value in differences.values()), differences
    plain, fast = (run({**variant, **options}, torch.float32) for options in (PLAIN, {}))
    differences = largest(fast, plain)
    bounds = dict(logits=1e-4, roi_boxes=1e-3, boxes=1e-3, scores=1e-5, masks=1e-5)
    if variant:
        # Nine normalisations over eight RoIs amplify the last bit of a feature: both are equally far from the truth.
        errors = [largest(result, exact)['logits'] for result in (fast, plain)]
        assert errors[0] < 4 * errors[1] + 1e-5, errors
        bounds['logits'] = 1e-3
    assert all(value < bounds[name] for name, value in differences.items()), differences


@pytest.mark.parametrize('variant', [{}, PUBLISHED])
def test_fast_settings_train_like_plain_ones(variant, monkeypatch):
    allow_float64(monkeypatch)
    gradients = []
    for options in (variant, {**variant, **PLAIN}):
        model = build_model({**options, 'backbone.zero_init_residual': False}).double().train()
        for sample in (lesion_sample(), slice_sample()):
            torch.manual_seed(0)
            model.set_stage(sample.task)
            data = model.data_preprocessor(batch(sample))
            data['inputs'] = data['inputs'].double()
            losses = model.loss(data['inputs'], data['data_samples'])
            sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if 'loss' in k).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    largest_of_all = max(gradient.abs().max() for gradient in gradients[1].values() if gradient is not None)
    for name, expected in gradients[1].items():
        found = gradients[0][name]
        assert (found is None) == (expected is None), name
        if expected is not None:
            # The gradient of a bias before a normalisation is only rounding.
            scale = torch.maximum(expected.abs().max(), 1e-6 * largest_of_all)
            torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-6, msg=name)


# --- compiled parts --------------------------------------------------------------------------------------------------


def test_compiled_parts_give_equal_predictions(model, monkeypatch):
    # Traced as for the default backend, but not translated to C++, which takes a minute.
    monkeypatch.setattr(torch, 'compile', functools.partial(torch.compile, backend='aot_eager'))
    compiled = build_model({'compile_parts': ['backbone', 'rpn_head', 'roi_head.cls_head']}).eval()
    assert list(compiled.state_dict()) == list(model.state_dict())
    compiled.load_state_dict(model.state_dict())
    torch._dynamo.utils.counters.clear()
    assert_equal(predict(compiled), predict(model), exact=False)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] >= 3
    assert_equal(predict(compiled, num=3), predict(model, num=3), exact=False)


def test_unknown_parts_to_compile_are_rejected():
    with pytest.raises(ValueError, match="compile_parts names 'head', which the model does not have; .*rpn_head"):
        build_model({'compile_parts': ['head']})
