"""Distributed processes: config settings, and errors for unsuitable launchers."""

import pytest
import torch
from mmengine.config import Config

from mmaffinity.engine import join_processes, processes

TORCHRUN = dict(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1', MASTER_ADDR='127.0.0.1', MASTER_PORT='29500')


@pytest.fixture
def joined(monkeypatch):
    """Record the backend instead of waiting for other processes."""
    backends = []
    monkeypatch.setattr(torch.distributed, 'init_process_group', backends.append)
    return backends


def gpus(monkeypatch, number):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: number > 0)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: number)


def test_single_process_is_unaffected(joined):
    cfg = Config({})
    join_processes(cfg, 'none', {})
    assert cfg.launcher == 'none' and 'model_wrapper_cfg' not in cfg and not joined


def test_cpus(joined, monkeypatch):
    gpus(monkeypatch, 0)
    cfg = Config({})
    join_processes(cfg, 'pytorch', TORCHRUN)
    assert joined == ['gloo']
    assert cfg.model_wrapper_cfg.device_ids is None and cfg.model_wrapper_cfg.find_unused_parameters


def test_group_is_destroyed_at_exit(joined, monkeypatch):
    gpus(monkeypatch, 0)
    at_exit, left = [], []
    monkeypatch.setattr(processes.atexit, 'register', at_exit.append)
    monkeypatch.setattr(torch.distributed, 'destroy_process_group', lambda: left.append(True))
    join_processes(Config({}), 'pytorch', TORCHRUN)
    (leave,) = at_exit
    leave()
    assert not left  # there is no group in this process
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    leave()
    assert left == [True]


def test_gpus_are_joined_by_mmengine(joined, monkeypatch):
    gpus(monkeypatch, 2)
    cfg = Config({})
    join_processes(cfg, 'pytorch', TORCHRUN)
    assert not joined and 'device_ids' not in cfg.model_wrapper_cfg and cfg.model_wrapper_cfg.find_unused_parameters


def test_configured_wrapper_is_kept(joined, monkeypatch):
    gpus(monkeypatch, 2)
    cfg = Config(dict(model_wrapper_cfg=dict(type='Own')))
    join_processes(cfg, 'pytorch', TORCHRUN)
    assert cfg.model_wrapper_cfg == dict(type='Own')


@pytest.mark.parametrize(
    'launcher, environ, number, sentence',
    [
        ('pytorch', {}, 0, 'RANK, WORLD_SIZE, .* is not set; use tools/dist_train.sh'),
        ('pytorch', TORCHRUN, 1, 'no GPU for process 1 of this machine: torch finds 1'),
        ('slurm', {}, 0, '--launcher slurm needs GPUs'),
        ('mpi', {}, 0, '--launcher mpi needs GPUs'),
    ],
)
def test_invalid_launchers(launcher, environ, number, sentence, monkeypatch):
    gpus(monkeypatch, number)
    with pytest.raises(ValueError, match=sentence):
        processes.join_processes(Config({}), launcher, environ)
