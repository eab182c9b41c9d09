"""BatchNorm statistics are averaged over processes."""

from types import SimpleNamespace

import torch
from run_helpers import average_with

from mmaffinity.engine import NormSyncHook
from mmaffinity.engine.hooks import norm_sync_hook


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
