"""Killed runs, full disks and truncated checkpoints: what remains, and where runs resume."""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
import torch
from run_helpers import (
    STEPS,
    differences,
    fill_disk,
    kill_in_step,
    kill_in_validation,
    kill_in_writing,
    run_command,
    run_state,
    small_config,
    write_small_config,
)

from mmaffinity.apis import train_model, training
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.models import AffinityRCNN
from mmaffinity.utils.cli import USER_ERRORS

pytestmark = pytest.mark.slow

WORKERS = ('--cfg-options', 'train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True')


@pytest.fixture(scope='module')
def tiny(tiny_phantom, repo_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp('interrupted')
    return folder, write_small_config(repo_root, tiny_phantom / 'cncb_ncov', folder / 'tiny.py')


@pytest.fixture(scope='module')
def straight(tiny, repo_root):
    """Work folder of an uninterrupted run."""
    folder, config = tiny
    assert train(repo_root, config, folder / 'straight') == 0
    return folder / 'straight'


def train(root, config, work_dir, *options, before=None):
    return run_command(root, 'tools/train.py', config, '--work-dir', work_dir, '--resume', *options, before=before)


def checkpoints(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth*'))


@pytest.mark.parametrize(
    'before, options, left',
    [
        (kill_in_step, WORKERS, ['epoch_1.pth']),
        (kill_in_writing, (), ['epoch_1.pth', 'epoch_2.pth.part']),
        (kill_in_validation, (), ['epoch_1.pth']),
    ],
)
def test_killed_and_resumed_run_equals_an_uninterrupted_one(before, options, left, straight, tiny, repo_root):
    """The same command is repeated; this also shows that two loader workers change no bit."""
    folder, config = tiny
    work_dir = folder / before.__name__
    assert train(repo_root, config, work_dir, *options, before=before) == -signal.SIGKILL
    assert checkpoints(work_dir) == left
    assert train(repo_root, config, work_dir, *options) == 0
    assert checkpoints(work_dir) == ['epoch_1.pth', 'epoch_2.pth']
    assert not differences(run_state(straight / 'epoch_2.pth'), run_state(work_dir / 'epoch_2.pth'))


def test_a_resumed_run_keeps_its_seed(straight, tiny_phantom, repo_root, tmp_path):
    """Samplers read the seed before MMEngine restores that of the checkpoint."""
    shutil.copy(straight / 'epoch_1.pth', tmp_path)

    def go_on(config_seed, seed=None):
        config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'randomness.seed': config_seed})
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        return train_model(config, work_dir=tmp_path, resume=True, seed=seed)

    with pytest.raises(ValueError, match='--seed 7 does not match .*epoch_1.pth, which was trained with seed 0'):
        go_on(0, seed=7)
    for config_seed in (5, None):
        go_on(config_seed)
        assert not differences(run_state(straight / 'epoch_2.pth'), run_state(tmp_path / 'epoch_2.pth'))
        (tmp_path / 'epoch_2.pth').unlink()


def test_resume_skips_a_truncated_checkpoint(straight, tiny, repo_root):
    """The newest file is truncated, as after a failed copy, and ``last_checkpoint`` names it."""
    folder, config = tiny
    work_dir = folder / 'cut'
    work_dir.mkdir()
    shutil.copy(straight / 'epoch_1.pth', work_dir)
    (work_dir / 'epoch_2.pth').write_bytes((straight / 'epoch_2.pth').read_bytes()[:-1000])
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
    assert train(repo_root, config, work_dir) == 0
    assert not differences(run_state(straight / 'epoch_2.pth'), run_state(work_dir / 'epoch_2.pth'))


def test_resume_without_a_complete_checkpoint_is_an_error(tiny_phantom, repo_root, tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'half')
    with pytest.raises(ValueError, match=r'no complete checkpoint in .*epoch_1\.pth is truncated or damaged'):
        train_model(small_config(repo_root, tiny_phantom / 'cncb_ncov'), work_dir=tmp_path, resume=True)
    assert checkpoints(tmp_path) == ['epoch_1.pth']


@pytest.fixture
def second_epoch(straight, tiny_phantom, repo_root, tmp_path):
    """Train the second epoch, after the first one of the uninterrupted run."""
    shutil.copy(straight / 'epoch_1.pth', tmp_path)

    def go_on(**extra):
        config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **extra)
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        return train_model(config, work_dir=tmp_path, resume=True)

    return go_on


def test_full_disk_is_reported_clearly(second_epoch, tmp_path, monkeypatch):
    before = (tmp_path / 'epoch_1.pth').read_bytes()
    fill_disk(monkeypatch)
    with pytest.raises(USER_ERRORS, match='no space left on the disk; the checkpoints in .* --resume'):
        second_epoch(**{'default_hooks.checkpoint.max_keep_ckpts': 1})
    assert checkpoints(tmp_path) == ['epoch_1.pth'] and (tmp_path / 'epoch_1.pth').read_bytes() == before


@pytest.fixture
def read_only():
    """A folder without write permission; root could write to it, so root temporarily becomes the user nobody."""
    folder = Path(tempfile.mkdtemp())
    (folder / 'epoch_1.pth').write_bytes(b'precious')
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    if user == 0:
        os.seteuid(user)
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name != 'posix', reason='permissions as on Linux and macOS')
def test_read_only_work_folder_is_reported_clearly(read_only, tiny, repo_root, monkeypatch):
    config = small_config(repo_root, tiny[0])
    monkeypatch.setattr(training, 'check_sources', lambda *args: None)  # nobody may not read the data either
    for work_dir in (read_only, read_only / 'below'):
        with pytest.raises(ValueError, match='the work directory .* is not writable .*Permission denied.*--work-dir'):
            train_model(config, work_dir=work_dir)
    assert os.listdir(read_only) == ['epoch_1.pth']


@pytest.mark.parametrize('call, stage, term', [(2, 'segmentation', 'loss_mask'), (3, 'classification', 'loss_slice')])
def test_nan_loss_stops_the_run(call, stage, term, second_epoch, tmp_path, monkeypatch):
    calls, loss = [], AffinityRCNN.loss

    def spoilt(self, inputs, samples):
        losses = loss(self, inputs, samples)
        calls.append([sample.img_path for sample in samples])
        if len(calls) == call + 1:
            losses[term] = losses[term] * float('nan')
        return losses

    monkeypatch.setattr(AffinityRCNN, 'loss', spoilt)
    with pytest.raises(USER_ERRORS) as stop:
        second_epoch()
    message = str(stop.value)
    for part in (f'the {stage} stage', f'{term} = nan', ', '.join(calls[-1]), str(tmp_path / 'epoch_1.pth')):
        assert part in message, (part, message)
    assert len(calls) == call + 1
    assert checkpoints(tmp_path) == ['epoch_1.pth']


def test_diverged_weights_stop_the_run_and_name_the_batch(tiny_phantom, repo_root, tmp_path, monkeypatch):
    """The network rejects its output before there is a loss."""
    batches, step = [], AffinityRCNN.train_step

    def noting(self, data, optim_wrapper):
        batches.append([sample.img_path for sample in data['data_samples']])
        return step(self, data, optim_wrapper)

    monkeypatch.setattr(AffinityRCNN, 'train_step', noting)
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'optim_wrapper.optimizer.lr': 1e30, 'param_scheduler': []})
    with pytest.raises(USER_ERRORS) as stop:
        train_model(config, work_dir=tmp_path)
    message = str(stop.value)
    for part in (
        f'iteration {len(batches)} (epoch 1)',
        "the network's output in the ",
        ' stage is not finite; ',
        f'slices of the batch: {", ".join(batches[-1])}; ',
        'none yet',
        'RATE is below 1e+30',
    ):
        assert part in message, (part, message)
    assert not checkpoints(tmp_path)


def test_nan_weights_are_not_saved(second_epoch, tmp_path, monkeypatch):
    """The last step of the epoch corrupts them, so no loss can reveal it."""
    calls, step = [], torch.optim.Adam.step

    def spoiling(self, *args, **kwargs):
        calls.append(step(self, *args, **kwargs))
        if len(calls) == STEPS:
            self.param_groups[0]['params'][0].data.view(-1)[0] = float('nan')

    monkeypatch.setattr(torch.optim.Adam, 'step', spoiling)
    with pytest.raises(USER_ERRORS, match=r'state_dict\.\S+ contains NaN or infinity'):
        second_epoch()
    assert len(calls) == STEPS and checkpoints(tmp_path) == ['epoch_1.pth']


def _skipping(tiny_phantom, folder):
    return {
        'train_dataloader.dataset.datasets.1.data_prefix': dict(img=''),
        'train_dataloader.dataset.datasets.1.on_unreadable': 'skip',
        'train_dataloader.dataset.datasets.1.ann_file': str(_with_missing(tiny_phantom, folder)),
    }


def _log_of(work_dir):
    return '\n'.join(path.read_text() for path in work_dir.glob('*/*.log'))


def test_skipped_slices_are_counted_at_the_end(second_epoch, tmp_path, tiny_phantom):
    """Two loader workers skip missing slices, and the run reports their number."""
    runner = second_epoch(
        **{'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True, **_skipping(tiny_phantom, tmp_path)}
    )
    assert runner.message_hub.get_info('skipped_slices') == 2
    log = _log_of(tmp_path)
    assert '2 slices were unreadable, skipped' in log and 'gone_0.png' in log and 'gone_1.png' in log
    assert [Path(path).name for path in load_checkpoint(tmp_path / 'epoch_2.pth')['meta']['skipped_slices']] == [
        'gone_0.png',
        'gone_1.png',
    ]


def test_skipped_slices_are_counted_across_interruptions(second_epoch, tmp_path, tiny_phantom, monkeypatch):
    """Skipped slices are reported if the run fails, and again at the end of the resumed run."""
    step = torch.optim.Adam.step

    def failing(self, *args, **kwargs):
        if next(number) == STEPS - 1:
            raise RuntimeError('the power went off')
        return step(self, *args, **kwargs)

    number = iter(range(STEPS))
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match='the power went off'):
        patch.setattr(torch.optim.Adam, 'step', failing)
        second_epoch(**_skipping(tiny_phantom, tmp_path))
    assert '2 slices were unreadable, skipped' in _log_of(tmp_path)
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    second_epoch(**_skipping(tiny_phantom, tmp_path))
    (tmp_path / 'list.json').unlink()
    runner = second_epoch(**{'train_cfg.max_epochs': 3, 'train_dataloader.dataset.datasets.1.on_unreadable': 'skip'})
    assert runner.epoch == 3 and runner.message_hub.get_info('skipped_slices') == 2  # all of them before


def _with_missing(tiny_phantom, folder):
    """The training list with two more slices, whose files are missing."""
    content = json.loads((tiny_phantom / 'cncb_ncov/annotations/slices_train.json').read_text())
    rows = content['data_list']
    rows[1:1] = [dict(rows[0], img_path='gone_0.png')]
    rows.append(dict(rows[0], img_path='gone_1.png'))
    (folder / 'list.json').write_text(json.dumps(content))
    return folder / 'list.json'
