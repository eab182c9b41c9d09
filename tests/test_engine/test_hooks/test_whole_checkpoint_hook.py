"""Checkpoints are written atomically, removed only after their successors exist, and never contain NaN."""

import errno
import math
import os

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import save_checkpoint
from run_helpers import fill_disk

from mmaffinity.engine import WholeCheckpointHook


class MessageHub(dict):
    """The part of MMEngine's message hub that the hook uses."""

    runtime_info = property(lambda self: self)
    update_info, get_info = dict.__setitem__, dict.__getitem__


class Writer:
    """Stand-in for a runner that writes like MMEngine's and records the folder's content while writing."""

    def __init__(self, folder):
        self.work_dir, self.epoch, self.iter, self.seen = str(folder), 0, 0, []
        self.message_hub, self.logger = MessageHub(), MMLogger.get_instance('writer')
        self.content = dict(state_dict=dict(weight=torch.ones(3)), optimizer=dict(state={0: dict(exp_avg=torch.ones(2))}))

    def save_checkpoint(self, out_dir, filename, file_client_args=None, backend_args=None, **kwargs):
        self.seen.append([name for name in names(out_dir) if name != filename])
        self.hook.before_save_checkpoint(self, self.content)
        save_checkpoint(self.content, os.path.join(out_dir, filename), file_client_args, backend_args)

    def run_epochs(self, hook, number):
        self.hook = hook
        for _ in range(number):
            hook._save_checkpoint(self)
            self.epoch += 1


def names(folder):
    return sorted(name for name in os.listdir(folder) if '.pth' in name)


@pytest.fixture
def writer(tmp_path):
    return Writer(tmp_path)


def hook_of(writer, **kwargs):
    hook = WholeCheckpointHook(interval=1, **kwargs)
    hook.before_train(writer)
    return hook


def test_old_checkpoint_is_kept_until_the_new_one_exists(writer, tmp_path):
    hook = hook_of(writer, max_keep_ckpts=1)
    writer.run_epochs(hook, 3)
    assert writer.seen == [[], ['epoch_1.pth'], ['epoch_2.pth']]
    assert names(tmp_path) == ['epoch_3.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == hook.last_whole == str(tmp_path / 'epoch_3.pth')
    assert torch.load(tmp_path / 'epoch_3.pth', weights_only=True).keys() == writer.content.keys()


def test_file_gets_its_name_only_when_complete(writer, tmp_path, monkeypatch):
    replace, sizes = os.replace, []

    def noting(source, target):
        assert not os.path.exists(target)
        assert torch.load(source, weights_only=True).keys() == writer.content.keys()
        sizes.append(os.path.getsize(source))
        replace(source, target)

    monkeypatch.setattr(os, 'replace', noting)
    writer.run_epochs(hook_of(writer), 2)
    assert sizes == [os.path.getsize(tmp_path / name) for name in ('epoch_1.pth', 'epoch_2.pth')]


def test_full_disk_keeps_the_last_checkpoint(writer, tmp_path, monkeypatch):
    hook = hook_of(writer, max_keep_ckpts=1)
    writer.run_epochs(hook, 1)
    fill_disk(monkeypatch)
    with pytest.raises(OSError) as stop:
        writer.run_epochs(hook, 1)
    assert stop.value.errno == errno.ENOSPC
    assert names(tmp_path) == ['epoch_1.pth'] and hook.last_whole == str(tmp_path / 'epoch_1.pth')


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize(
    'place, spoil',
    [
        ('state_dict.weight', lambda content, value: content['state_dict']['weight'].__setitem__(1, value)),
        ('optimizer.state.0.exp_avg', lambda content, value: content['optimizer']['state'][0]['exp_avg'].fill_(value)),
    ],
)
def test_checkpoint_with_nan_is_not_written(place, spoil, value, writer, tmp_path):
    hook = hook_of(writer, max_keep_ckpts=1)
    writer.run_epochs(hook, 1)
    spoil(writer.content, value)
    with pytest.raises(ValueError, match=f'{place} contains NaN or infinity.*last good one is .*epoch_1.pth'):
        writer.run_epochs(hook, 1)
    assert names(tmp_path) == ['epoch_1.pth']


def test_best_checkpoint_is_removed_after_the_better_one_exists(writer, tmp_path):
    hook = hook_of(writer, save_best='f1', rule='greater')
    writer.run_epochs(hook, 1)
    for score in (0.5, 0.7, 0.6):
        writer.seen.clear()
        hook.after_val_epoch(writer, dict(f1=score))
        if score == 0.7:
            assert 'best_f1_epoch_1.pth' in writer.seen[0]
        writer.epoch += 1
    assert [name for name in names(tmp_path) if 'best' in name] == ['best_f1_epoch_2.pth']


@pytest.mark.parametrize('name', ['thesis.tex', 'best_f1_epoch_9.pth', 'folder'])
def test_nothing_outside_the_runs_folder_is_removed(name, writer, tmp_path):
    """A resumed checkpoint names the best one; after copying, that is in the original folder."""
    theirs = tmp_path / 'elsewhere' / name
    theirs.parent.mkdir()
    theirs.mkdir() if name == 'folder' else theirs.write_text('precious')
    writer.work_dir = str(tmp_path / 'ours')
    os.mkdir(writer.work_dir)
    writer.message_hub.update(best_ckpt=str(theirs), best_score=-1.0)
    hook = hook_of(writer, save_best='f1', rule='greater')
    writer.run_epochs(hook, 1)
    hook.after_val_epoch(writer, dict(f1=0.5))
    assert theirs.exists() and [file for file in names(writer.work_dir) if 'best' in file] == ['best_f1_epoch_1.pth']
    own = os.path.join(writer.work_dir, 'notes.txt')
    open(own, 'w').close()
    hook.file_backend.remove(own)
    hook.file_backend.rmtree(str(tmp_path / 'elsewhere'))
    hook.file_backend.catch_up()
    assert os.path.exists(own) and theirs.exists()
