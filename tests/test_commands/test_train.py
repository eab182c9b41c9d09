"""The training command; tests of what it does are with the API."""

import runpy
import sys

import pytest
import torch


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['tools/train.py', 'configs/affinity_c9.py'], 'no such config: configs/affinity_c9.py'),
        (
            ['tools/train.py', 'configs/affinity_c8.py', '--cfg-options', 'data_root=/nowhere', 'model.backbone.init_cfg=None'],
            'data root /nowhere does not exist: set it with --cfg-options data_root=PATH',
        ),
        (['tools/train.py', 'configs/affinity_c8_ictcf.py'], 'work_dirs/affinity_c8/epoch_100.pth'),
        (['tools/test.py', 'configs/affinity_c8.py', 'missing.pth'], 'no checkpoint missing.pth'),
        (['tools/train.py', 'configs/affinity_c8_phantom.py', '--amp', '--cfg-options', 'data_root=/nowhere'], 'AMX'),
    ],
)
def test_misuse_raises_clear_errors(arguments, sentence, repo_root, tmp_path, monkeypatch, capsys):
    # As on a machine that only emulates lower precision.
    monkeypatch.setattr('mmaffinity.apis.training.computes_bfloat16', lambda: False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.chdir(repo_root)
    monkeypatch.setattr(sys, 'argv', [*arguments, '--work-dir', str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(arguments[0], run_name='__main__')
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert sentence in error.strip().splitlines()[-1] and 'Traceback' not in error


def test_an_interrupted_run_says_how_to_continue(tmp_path, monkeypatch, capsys):
    """Only if there is a checkpoint to continue from."""
    from mmaffinity_cli import main

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmaffinity.apis.train_model', interrupt)
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'affinity_c8_phantom', '--work-dir', str(tmp_path)])
    for started, said in (
        (False, 'interrupted\n'),
        (True, f'\nto continue from the last checkpoint in {tmp_path}, add --resume\n'),
    ):
        if started:
            (tmp_path / 'last_checkpoint').touch()
        with pytest.raises(SystemExit) as stop:
            main('train')
        assert stop.value.code == 130 and capsys.readouterr().err.startswith(said)
