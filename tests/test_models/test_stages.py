"""What each training stage changes, for every parameter and buffer of the model, with real Adam steps."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from model_helpers import allow_float64, batch, build_model, lesion_sample, slice_sample, total
from torch import nn

from mmaffinity.engine import AlternatingLossHook

pytestmark = pytest.mark.usefixtures('one_thread')

SHARED = ('backbone.', 'neck.')
TRAINED = {
    'segmentation': (*SHARED, 'rpn_head.', 'roi_head.bbox_head.', 'roi_head.mask_head.'),
    'classification': (*SHARED, 'roi_head.cls_head.'),
}
BRANCH = 'roi_head.classification_branch.'


def data_of(stage, seed=0):
    return batch(lesion_sample() if stage == 'segmentation' else slice_sample(), seed=seed)


class Training:
    """Training steps as in MMEngine's loop, recording what each changes."""

    def __init__(self, model, copy_when='every'):
        self.model = model.train()
        self.hook = AlternatingLossHook(copy_when)
        self.runner = SimpleNamespace(model=model, _resume=False)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-3)
        self.wrapper = OptimWrapper(self.optimizer)

    def step(self, stage, seed=0):
        before = copy.deepcopy(self.model.state_dict())
        moments = self.moments()
        data = data_of(stage, seed)
        self.hook.before_train_iter(self.runner, 0, data)
        outputs = self.model.train_step(data, self.wrapper)
        self.after_step = copy.deepcopy(self.model.state_dict())
        self.hook.after_train_iter(self.runner, 0, data, outputs)
        self.changed = {name for name, value in self.model.state_dict().items() if not torch.equal(value, before[name])}
        after = self.moments()
        self.moved = {
            name
            for name, value in after.items()
            if name not in moments or any(not torch.equal(value[key], moments[name][key]) for key in value)
        }
        return {key: float(value.detach().sum()) for key, value in outputs.items()}

    def moments(self):
        state = {}
        for name, parameter in self.model.named_parameters():
            if parameter in self.optimizer.state:
                state[name] = {key: value.clone() for key, value in self.optimizer.state[parameter].items()}
        return state


def names(model, prefixes):
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


def statistics(model, prefix):
    return {
        name
        for name in model.state_dict()
        if name.startswith(prefix) and name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))
    }


def branch_equals_source(model):
    state = model.state_dict()
    pairs = [(name, name.replace('classification_branch.', '')) for name in state if name.startswith(BRANCH)]
    return [torch.equal(state[a], state[b]) for a, b in pairs]


def test_each_stage_changes_only_its_parameters():
    model = build_model()
    training = Training(model)
    branch = names(model, BRANCH)
    expected = {
        'segmentation': names(model, TRAINED['segmentation']) | branch | statistics(model, 'backbone.'),
        'classification': names(model, TRAINED['classification']) | statistics(model, 'roi_head.cls_head.'),
    }
    assert statistics(model, 'backbone.') and statistics(model, 'roi_head.cls_head.')
    # Every parameter of the model is trained by some stage, or copied.
    assert names(model, '') == names(model, TRAINED['segmentation'] + TRAINED['classification']) | branch
    for i, stage in enumerate(('segmentation', 'classification', 'segmentation', 'classification', 'classification')):
        losses = training.step(stage, seed=i)
        assert all(value > 0 for name, value in losses.items() if 'loss' in name), losses
        assert training.changed == expected[stage]
        # Adam's moments and step counts: only those of the stage move; the copied branch has none at all.
        assert training.moved == names(model, TRAINED[stage])
        assert not any(name in training.moments() for name in branch)
        if stage == 'segmentation':
            assert all(branch_equals_source(model))
            # The hook copies after the step.
            assert all(
                torch.equal(training.after_step[name], value)
                for name, value in model.state_dict().items()
                if name not in branch
            )
            assert not any(torch.equal(training.after_step[name], model.state_dict()[name]) for name in branch)
        else:
            assert all(torch.equal(training.after_step[name], value) for name, value in model.state_dict().items())


def test_copy_when_best():
    training = Training(build_model(), 'best')
    training.step('segmentation')
    assert all(branch_equals_source(training.model))
    training.hook.best_loss = 0.0  # cannot be beaten
    training.step('segmentation')
    assert not any(name.startswith(BRANCH) for name in training.changed)
    assert not any(branch_equals_source(training.model))


def test_gradients_reach_every_parameter_of_the_stage():
    for stage, prefixes in TRAINED.items():
        model = build_model().train()
        model.set_stage(stage)
        data = model.data_preprocessor(data_of(stage))
        total(model.loss(data['inputs'], data['data_samples'])).backward()
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad == name.startswith(prefixes), name
            if parameter.requires_grad:
                assert parameter.grad.abs().sum() > 0, name
            else:
                assert parameter.grad is None, name


def test_batch_norm_modes():
    model = build_model().train()
    for stage in ('classification', 'segmentation', 'classification'):
        model.set_stage(stage)
        for name, module in model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.training == (name.startswith('backbone') == (stage == 'segmentation')), name
        model.train()  # as the loop does at the start of an epoch and after validation


def frozen_boxes(model):
    """Freeze the current selection of boxes, through which no gradient passes."""
    branch, chosen = model.roi_head.classification_branch, []
    select = branch._select

    def recorded(*args):
        if not chosen:
            chosen.append(select(*args))
        return chosen[0]

    branch._select = recorded


def test_gradient_of_the_classification_loss_in_the_backbone(monkeypatch):
    """Against central differences, in float64, with the discrete choice of boxes held."""
    allow_float64(monkeypatch)
    model = build_model().double().train()
    model.set_stage('classification')
    frozen_boxes(model)
    data = model.data_preprocessor(data_of('classification'))

    inputs, samples = data['inputs'].double(), data['data_samples']
    model.loss(inputs, samples)['loss_slice'].backward()

    @torch.no_grad()
    def loss():  # MMDetection's loss ends in float32, too coarse for differences
        x = model.extract_feat(inputs)
        ranked = model.roi_head.rank_rois(x, model._propose(x, samples), [sample.metainfo for sample in samples])
        truth = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
        return nn.functional.binary_cross_entropy_with_logits(model.roi_head.cls_head(ranked)['logits'], truth)

    generator, step = torch.Generator().manual_seed(0), 1e-8  # small, because every ReLU has a kink
    for name in (
        'backbone.conv1.weight',
        'backbone.layer2.0.bn1.weight',
        'backbone.layer3.1.conv2.weight',
        'neck.fpn_convs.0.conv.weight',
        'roi_head.cls_head.affinity.matrix',
    ):
        parameter = model.get_parameter(name)
        assert parameter.grad.abs().max() > 0, name
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        start = parameter.detach().clone()
        values = []
        for sign in (1, -1):
            parameter.data.copy_(start + sign * step * direction)
            values.append(loss())
        parameter.data.copy_(start)
        difference = (values[0] - values[1]) / (2 * step)
        torch.testing.assert_close((parameter.grad * direction).sum(), difference, rtol=1e-3, atol=1e-5)


def test_gradient_reaches_the_backbone_only_through_mask_features():
    model = build_model().train()
    model.set_stage('classification')
    head = model.roi_head.classification_branch.mask_head
    forward = head.forward
    head.forward = lambda x: forward(x).detach()
    data = model.data_preprocessor(data_of('classification'))
    model.loss(data['inputs'], data['data_samples'])['loss_slice'].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith('roi_head.cls_head.'), name


@pytest.mark.parametrize('frozen_stages', [1, 3])
def test_frozen_stages_stay_frozen(frozen_stages):
    """A backbone with frozen stages, as the 'heads only' model of the paper has."""
    model = build_model({'backbone.frozen_stages': frozen_stages})
    training = Training(model)
    stem = ('backbone.conv1', 'backbone.bn1', *(f'backbone.layer{i}' for i in range(1, frozen_stages + 1)))
    for stage in ('segmentation', 'classification', 'segmentation'):
        training.step(stage)
        assert not any(name.startswith(stem) for name in training.changed)
        assert names(model, TRAINED[stage]) - names(model, stem) <= training.changed


def test_frozen_batch_norm_stays_frozen():
    model = build_model({'backbone.norm_cfg.requires_grad': False, 'backbone.norm_eval': True})
    training = Training(model)
    norms = {
        f'{name}.{key}'
        for name, module in model.backbone.named_modules(prefix='backbone')
        if isinstance(module, nn.BatchNorm2d)
        for key in module.state_dict()
    }
    for stage in ('segmentation', 'classification'):
        training.step(stage)
        assert norms and not norms & training.changed


def test_training_is_bitwise_reproducible():
    def run():
        training = Training(build_model())
        torch.manual_seed(3)
        return [training.step(stage, seed=i) for i, stage in enumerate(('segmentation', 'classification') * 2)]

    first, second = run(), run()
    assert first == second, f'{first}\n{second}'


def test_frozen_parts_stay_and_cost_no_gradient():
    """Fine-tuning of the slice head alone: backbone and neck keep weights, moments and BatchNorm statistics in both stages."""
    training = Training(build_model({'frozen_parts': ['backbone', 'neck']}))
    training.step('classification')
    assert training.moved == names(training.model, 'roi_head.cls_head.')
    assert not any(name.startswith(SHARED) for name in training.changed)
    training.step('segmentation')
    assert training.moved == names(training.model, TRAINED['segmentation'][2:])
    assert not any(name.startswith(SHARED) for name in training.changed)
    (features,) = training.model.extract_feat(training.model.data_preprocessor(data_of('classification'))['inputs'])
    assert not features.requires_grad
    with pytest.raises(ValueError, match="frozen_parts names 'body', which the model does not have; .*neck"):
        build_model({'frozen_parts': ['body']})
