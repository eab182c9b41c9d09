"""Console output of a quiet run: own messages, warnings and a progress line."""

import logging

import pytest
import torch
from run_helpers import small_config

from mmaffinity.apis import test_model, train_model
from mmaffinity.engine.console import NOISE, PACKAGE, build_runner, concerns_user
from mmaffinity.utils.console import ProgressLine


def record(path, level, text='words'):
    return logging.LogRecord('mmengine', level, str(path), 1, text, (), None)


@pytest.mark.parametrize(
    'path, level, text, shown',
    [
        (PACKAGE / 'engine/hooks/some_hook.py', logging.INFO, 'words', True),
        ('/site-packages/mmengine/runner/runner.py', logging.INFO, 'words', False),
        ('/site-packages/mmengine/runner/runner.py', logging.WARNING, 'words', True),
        ('/site-packages/mmengine/runner/runner.py', logging.ERROR, 'words', True),
        *(('/site-packages/mmengine/logging/logger.py', logging.WARNING, f'x {words} y', False) for words in NOISE),
    ],
)
def test_messages_for_the_user_are_shown(path, level, text, shown):
    assert concerns_user(record(path, level, text)) is shown


def test_shown_message_clears_the_progress_line(monkeypatch):
    cleared = []
    monkeypatch.setattr(ProgressLine, 'clear_current', classmethod(lambda cls: cleared.append(cls)))
    concerns_user(record('/elsewhere.py', logging.INFO))
    assert not cleared
    concerns_user(record('/elsewhere.py', logging.WARNING))
    assert len(cleared) == 1


def test_a_quiet_run_and_its_log(repo_root, tiny_phantom, tmp_path, capsys):
    """The console shows progress, losses of both stages and tables; the file also contains MMEngine's log."""
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov')
    runner = train_model(config, work_dir=tmp_path, verbose=False)
    out, err = capsys.readouterr()
    assert 'class-adjusted F1' in out and 'System environment' not in out and 'mmengine - INFO' not in out
    lines = err.splitlines()
    steps = [line for line in lines if line.startswith('training: ')]
    assert steps[0].startswith('training: 1 of 12 steps') and steps[-1].startswith('training: 12 of 12 steps, epoch 2 of 2')
    assert 'classification loss ' in steps[-1] and 'segmentation loss ' in steps[-1]
    assert any(line.startswith('validating: ') for line in lines)
    log = open(runner.logger.log_file).read()
    assert 'System environment' in log and 'Epoch(train)' in log and 'class-adjusted F1' in log

    test_model(config, tmp_path / 'epoch_2.pth', work_dir=tmp_path / 'test', verbose=False)
    out, err = capsys.readouterr()
    assert 'class-adjusted F1' in out and 'lesion' in out.lower() and 'Load' not in out
    assert any(line.startswith('testing: ') and line.endswith('batches') for line in err.splitlines())


def test_quiet_fine_tuning_names_the_new_layers(repo_root, tiny_phantom, tmp_path, capsys):
    """One line instead of MMEngine's list of missing weights."""
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1})
    config.work_dir = str(tmp_path)
    torch.save(dict(meta={}, state_dict=build_runner(config, verbose=False).model.state_dict()), tmp_path / 'start.pth')
    config.default_hooks.checkpoint_guard.new_layers = ['roi_head.cls_head.classifier.4']
    config.load_from = str(tmp_path / 'start.pth')
    capsys.readouterr()
    runner = train_model(config, work_dir=tmp_path / 'run', verbose=False)
    out, _ = capsys.readouterr()
    assert 'start.pth provides all weights except those of roi_head.cls_head.classifier.4, which start from scratch' in out
    assert 'missing keys' not in out and 'do not match' not in out
    log = open(runner.logger.log_file).read()
    assert 'missing keys in source state_dict: roi_head.cls_head.classifier.4.weight' in log


def test_a_verbose_run_shows_everything(repo_root, tiny_phantom, tmp_path, capsys):
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1})
    train_model(config, work_dir=tmp_path)
    out, err = capsys.readouterr()
    assert 'System environment' in out and 'Epoch(train)' in out and 'training: ' not in err


def test_quiet_run_does_not_mention_a_missing_compiler(repo_root, tiny_phantom, tmp_path, monkeypatch, capfd):
    """MMEngine runs gcc in the shell, which is not needed."""
    monkeypatch.setenv('PATH', str(tmp_path))
    config = small_config(repo_root, tiny_phantom / 'cncb_ncov', **{'train_cfg.max_epochs': 1})
    config.work_dir = str(tmp_path / 'run')
    build_runner(config, verbose=False)
    assert 'gcc' not in capfd.readouterr().err
