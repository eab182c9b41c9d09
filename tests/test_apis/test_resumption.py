"""Which config changes apply to a resumed run, and what is reported."""

import copy
import re

import pytest
import torch
from run_helpers import small_config

from mmaffinity.apis import train_model
from mmaffinity.apis.resumption import resume_run


@pytest.fixture
def config(repo_root, tmp_path):
    config = small_config(repo_root, tmp_path / 'data')
    config.work_dir = str(tmp_path)
    return config


def save(config, name='epoch_1.pth', **meta):
    """Write a checkpoint with everything that resuming needs."""
    meta = dict(epoch=1, iter=6, seed=0, cfg=config.pretty_text, **meta)
    torch.save(dict(meta=meta, state_dict={}, optimizer={}, message_hub={}), f'{config.work_dir}/{name}')


def test_unchanged_config_gives_no_message(config, tmp_path):
    save(config)
    before = copy.deepcopy(config)
    # Other paths and ways of reading do not change the run.
    config.train_dataloader.num_workers = 7
    config.train_dataloader.dataset.datasets[0].data_root = 'elsewhere'
    config.model.backbone.init_cfg = None
    assert resume_run(config) == []
    assert config.resume and config.load_from == str(tmp_path / 'epoch_1.pth')
    assert config.param_scheduler == before.param_scheduler and config.optim_wrapper == before.optim_wrapper


@pytest.mark.parametrize(
    'change, words',
    [
        ({'optim_wrapper.optimizer.lr': 0.1}, 'optim_wrapper.optimizer of the config is ignored.*lr=0.001, not 0.1'),
        ({'optim_wrapper.optimizer': dict(_delete_=True, type='SGD', lr=0.001, weight_decay=0.001)}, "type='Adam', not 'SGD'"),
        ({'optim_wrapper.paramwise_cfg.custom_keys': {'backbone': dict(lr_mult=0)}}, r'paramwise_cfg of the config .*lr_mult'),
        ({'param_scheduler': [dict(type='MultiStepLR', milestones=[1])]}, 'param_scheduler of the config is ignored'),
        ({'param_scheduler': None}, 'param_scheduler of the config is ignored.*, not None'),
        ({'param_scheduler.1.T_max': 9}, r'param_scheduler of the config is ignored.*param_scheduler.1.T_max=None, not 9'),
    ],
)
def test_optimizer_and_schedule_come_from_the_checkpoint(config, change, words):
    """The checkpoint contains their state, which MMEngine would silently load over that of the config."""
    save(config)
    before = copy.deepcopy(config)
    config.merge_from_dict(change)
    (note,) = resume_run(config)
    assert re.search(words, note) and '--cfg-options load_from=' in note and '\n' not in note
    assert config.optim_wrapper == before.optim_wrapper and list(config.param_scheduler) == list(before.param_scheduler)


def test_other_config_changes_apply(config):
    save(config)
    config.merge_from_dict(
        {
            'train_cfg.max_epochs': 9,
            'train_dataloader.batch_size': 4,
            'optim_wrapper.clip_grad.max_norm': 5,
            'model.roi_head.cls_head.num_affinities': 32,
            'train_dataloader.sampler.segmentation_epochs': 2,
        }
    )
    (note,) = resume_run(config)
    assert note.startswith('the config has changed since the run started; training continues with ')
    for words in ('num_affinities=32, was 8', 'train_dataloader.batch_size=4, was 2', 'max_norm=5, was 10', 'and 1 more'):
        assert words in note
    assert config.train_cfg.max_epochs == 9


@pytest.mark.parametrize(
    'limits, meta, words',
    [
        (dict(type='EpochBasedTrainLoop', max_epochs=2), {}, None),
        (dict(type='EpochBasedTrainLoop', max_epochs=1), {}, r'the run has finished \(.*epoch_1.pth, epoch 1 of 1\)'),
        (dict(type='IterBasedTrainLoop', max_iters=7), {}, None),
        (
            dict(type='IterBasedTrainLoop', max_iters=5),
            {},
            r'the run has finished \(.*, iter 6 of 5\).*increase train_cfg.max_iters',
        ),
    ],
)
def test_finished_run_is_reported(config, limits, meta, words):
    config.train_cfg = limits
    save(config)
    notes = resume_run(config)
    assert len(notes) == (words is not None) and all(re.search(words, note) for note in notes)


def test_run_without_a_checkpoint_starts_from_scratch(config, tmp_path):
    config.resume = False
    assert resume_run(config) == [f'no checkpoint to resume in {tmp_path}: starting a new run'] and not config.resume


def test_checkpoints_without_a_readable_config(config):
    """Third-party or crafted checkpoints are resumed as before, and nothing in the text runs."""
    for text in (None, 'import os', "a = open('x', 'w')"):
        torch.save(
            dict(meta=dict(epoch=1, iter=6, cfg=text), state_dict={}, optimizer={}, message_hub={}),
            f'{config.work_dir}/epoch_1.pth',
        )
        config.optim_wrapper.optimizer.lr = 0.5
        assert resume_run(config) == [] and config.optim_wrapper.optimizer.lr == 0.5


def test_resumed_run_reports_changes_before_training(tiny_phantom, repo_root, tmp_path):
    def train(resume, **changes):
        config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1, **changes})
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        runner = train_model(config, work_dir=tmp_path, resume=resume)
        return runner, (tmp_path / runner.timestamp / f'{runner.timestamp}.log').read_text()

    first, _ = train(False)
    rates = [group['initial_lr'] for group in first.optim_wrapper.param_groups]
    runner, log = train(
        True, **{'optim_wrapper.optimizer': dict(type='SGD', lr=0.5), 'param_scheduler': [], 'train_cfg.max_epochs': 2}
    )
    assert runner.epoch == 2 and type(runner.optim_wrapper.optimizer).__name__ == 'Adam'
    assert [group['initial_lr'] for group in runner.optim_wrapper.param_groups] == rates
    told = [line for line in log.splitlines() if 'WARNING' in line]
    assert sum('of the config is ignored' in line for line in told) == 2
    assert log.index('resumed epoch: 1') < log.index('of the config is ignored') < log.index('Epoch(train)')
    _, log = train(True, **{'train_cfg.max_epochs': 2})
    assert 'epoch_2.pth, epoch 2 of 2)' in log and 'Epoch(train)' not in log
