"""Alternation of the stages: switching, copying of the branch, and state in checkpoints."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.runner import get_priority
from model_helpers import MODEL_CONFIG, batch, lesion_sample, slice_sample
from run_helpers import average_with

from mmaffinity.engine import AlternatingLossHook
from mmaffinity.engine.hooks import alternating_loss_hook
from mmaffinity.structures import SEGMENTATION


class Recorder:
    """Stand-in for a detector that records the hook's calls."""

    def __init__(self):
        self.calls = []

    def set_stage(self, stage):
        self.calls.append(stage)

    def copy_branch(self):
        self.calls.append('copy')


@pytest.fixture
def runner():
    return SimpleNamespace(model=Recorder(), _resume=False)


LESION, SLICE = batch(lesion_sample()), batch(slice_sample())


def step(hook, runner, data, loss=1.0):
    hook.before_train_iter(runner, 0, data)
    hook.after_train_iter(runner, 0, data, dict(loss=torch.tensor(loss)))


def test_copies_after_every_segmentation_step(runner):
    hook = AlternatingLossHook()
    for data, loss in ((LESION, 1.0), (SLICE, 0.5), (LESION, 2.0), (SLICE, 0.1), (SLICE, 0.1), (LESION, math.nan)):
        step(hook, runner, data, loss)
    assert runner.model.calls == [
        'segmentation',
        'copy',
        'classification',
        'segmentation',
        'copy',
        'classification',
        'classification',
        'segmentation',
        'copy',
    ]


def test_copies_only_below_the_best_loss_so_far(runner):
    hook = AlternatingLossHook(copy='best')
    copied = []
    for data, loss in (
        (LESION, 3.0),
        (LESION, 3.0),
        (LESION, 2.5),
        (SLICE, 0.1),
        (LESION, 2.7),
        (LESION, math.nan),
        (LESION, 2.4),
    ):
        runner.model.calls.clear()
        step(hook, runner, data, loss)
        copied.append('copy' in runner.model.calls)
    assert copied == [True, False, True, False, False, False, True]
    assert hook.best_loss == pytest.approx(2.4)


def test_the_best_loss_survives_a_resumed_run_only(runner):
    hook, checkpoint = AlternatingLossHook(copy='best'), {}
    step(hook, runner, LESION, 1.5)
    hook.before_save_checkpoint(runner, checkpoint)
    started = AlternatingLossHook(copy='best')
    started.after_load_checkpoint(runner, checkpoint)
    assert started.best_loss == math.inf  # fine-tuning starts from infinity
    runner._resume = True
    resumed = AlternatingLossHook(copy='best')
    resumed.after_load_checkpoint(runner, checkpoint)
    assert resumed.best_loss == 1.5
    resumed.after_load_checkpoint(runner, {})  # of a run without this hook
    assert resumed.best_loss == math.inf


def test_model_without_stages_is_unaffected(runner):
    runner.model = SimpleNamespace()
    step(AlternatingLossHook(), runner, LESION)
    step(AlternatingLossHook(), runner, dict(data_samples=[]))  # samples of other packages have no task


def test_a_wrapped_model_is_unwrapped(runner, monkeypatch):
    monkeypatch.setattr('mmaffinity.engine.hooks.alternating_loss_hook.is_model_wrapper', lambda model: True)
    inner, runner.model = runner.model, SimpleNamespace(module=runner.model)
    step(AlternatingLossHook(), runner, LESION)
    assert inner.calls == ['segmentation', 'copy']


def test_a_checkpoint_is_saved_after_the_copy():
    hook = HOOKS.build(dict(type='AlternatingLossHook'))
    assert hook.copy == 'every'
    assert get_priority(hook.priority) < min(get_priority(other.priority) for other in (CheckpointHook, LoggerHook))


def test_default_runtime_has_the_hook():
    config = Config.fromfile(MODEL_CONFIG.parent.parent / 'default_runtime.py')
    assert config.default_hooks.alternation == dict(type='AlternatingLossHook', copy='every')


def test_the_schedules_have_the_papers_optimizer():
    for name in ('alternating_100e', 'finetune_10e'):
        config = Config.fromfile(MODEL_CONFIG.parent.parent / 'schedules' / f'{name}.py')
        assert config.optim_wrapper.optimizer == dict(type='Adam', fused=True, lr=1e-5, weight_decay=1e-3)
        assert not config.param_scheduler


def test_invalid_arguments(runner):
    with pytest.raises(ValueError, match="copy of AlternatingLossHook must be one of .*, not 'never'"):
        AlternatingLossHook(copy='never')
    with pytest.raises(ValueError, match='one task'):
        AlternatingLossHook().before_train_iter(runner, 0, batch(lesion_sample(), slice_sample()))
    assert not runner.model.calls


def test_best_copy_is_decided_by_all_processes(monkeypatch):
    """The own loss falls from 3 to 1, but with the other process (1, then 5) the mean rises from 2 to 3."""
    copies = []
    runner = SimpleNamespace(model=SimpleNamespace(set_stage=None, copy_branch=lambda: copies.append(0)), _resume=False)
    hook = AlternatingLossHook(copy='best')
    data = dict(data_samples=[dict(task=SEGMENTATION)])
    for own, other in ((3.0, 1.0), (1.0, 5.0)):
        average_with(monkeypatch, alternating_loss_hook, other)
        outputs = dict(loss=torch.tensor(own))
        hook.after_train_iter(runner, 0, data, outputs)
        assert outputs['loss'] == own
    assert len(copies) == 1 and hook.best_loss == 2.0
