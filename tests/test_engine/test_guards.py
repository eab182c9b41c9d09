"""Hooks that safeguard a run, and hooks for memory and BatchNorm."""

import mmap
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from run_helpers import small_config

from mmaffinity.apis import train_model
from mmaffinity.engine import AlternatingLossHook, MemoryHook, NormSyncHook, missing_guards
from mmaffinity.engine.guards import GUARDS
from mmaffinity.engine.hooks import alternating_loss_hook, norm_sync_hook
from mmaffinity.structures import SEGMENTATION


def test_missing_guards_are_found():
    assert missing_guards(Config({})) == list(GUARDS)
    cfg = Config(
        dict(
            custom_hooks=[dict(type='FiniteLossHook')],
            default_hooks=dict(checkpoint=dict(type='WholeCheckpointHook'), timer=None),
        )
    )
    assert missing_guards(cfg) == [name for name in GUARDS if name not in ('FiniteLossHook', 'WholeCheckpointHook')]


def test_training_reports_missing_guards(repo_root, tiny_phantom, tmp_path, capsys):
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1})
    config.default_hooks.pop('finite_loss')
    train_model(config, work_dir=tmp_path, verbose=False)
    assert 'the config lacks FiniteLossHook: inherit _base_/default_runtime.py' in ''.join(capsys.readouterr())


def average_with(monkeypatch, module, other):
    """Let a second process with the values ``other`` take part in an average."""

    def all_reduce(values, op):
        assert op == 'mean'
        values.copy_((values + other) / 2)

    monkeypatch.setattr(module, 'all_reduce', all_reduce)


def test_norm_statistics_are_averaged(monkeypatch):
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    model[0].running_mean.fill_(4.0)
    model[2].running_var.fill_(10.0)
    weight = model[1].weight.clone()
    monkeypatch.setattr(norm_sync_hook, 'get_world_size', lambda: 2)
    average_with(monkeypatch, norm_sync_hook, 2.0)
    NormSyncHook().after_train_epoch(SimpleNamespace(model=model))
    # Two means of 2 and 3 channels, two variances that start at 1.
    assert model[0].running_mean.tolist() == [3.0, 3.0] and model[0].running_var.tolist() == [1.5, 1.5]
    assert model[2].running_mean.tolist() == [1.0] * 3 and model[2].running_var.tolist() == [6.0] * 3
    assert torch.equal(model[1].weight, weight)


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


def test_memory_hook_detects_retained_memory(tmp_path):
    try:
        hook = MemoryHook(interval=2, last=4, limit=50)
    except ValueError as error:
        pytest.skip(str(error))
    runner = SimpleNamespace(iter=0, logger=MMLogger.get_instance('memory'), train_loop=SimpleNamespace(stop_training=False))
    held = []
    for runner.iter in range(4):
        held.append(mmap.mmap(-1, 32 << 20))  # its own pages; bytes might reuse freed memory
        held[-1].write(b'x' * (32 << 20))
        assert not runner.train_loop.stop_training
        hook.after_train_iter(runner, 0)
    assert [row[0] for row in hook.rows] == [2, 4] and runner.train_loop.stop_training
    assert 50 < hook.rows[1][1] - hook.rows[0][1] < 80  # 64 MiB
    with pytest.raises(ValueError, match=r'memory grew by \d\d\.\d MiB, more than the limit of 50'):
        hook.after_train(runner)
    hook.limit = 100
    hook.after_train(runner)


def test_memory_of_a_test_run(tmp_path):
    try:
        hook = MemoryHook(interval=1, limit=20)
    except ValueError as error:
        pytest.skip(str(error))
    runner = SimpleNamespace(logger=MMLogger.get_instance('memory'))
    for i in range(3):
        hook.after_test_iter(runner, i)
    assert [row[0] for row in hook.rows] == [1, 2, 3]
    hook.after_test(runner)  # no memory was retained


def test_memory_hook_rejects_an_invalid_interval():
    with pytest.raises(ValueError, match='interval=0'):
        MemoryHook(interval=0)
