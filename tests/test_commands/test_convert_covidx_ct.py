"""Conversion of COVIDx-CT as a command."""

import runpy
import sys

import pytest
from conversion_helpers import write_covidx_ct


def test_version_splits_and_images_are_chosen(tmp_path, repo_root, monkeypatch, capsys):
    root = tmp_path / 'covidx'
    write_covidx_ct(root)
    tool = str(repo_root / 'tools' / 'dataset_converters' / 'covidx_ct.py')
    (root / 'train_COVIDx_CT-3B.txt').write_text('STOIC-5-0010.png 2\n')
    monkeypatch.setattr(sys, 'argv', [tool, str(root)])
    with pytest.raises(SystemExit) as info:
        runpy.run_path(tool, run_name='__main__')
    assert info.value.code == 2 and 'choose one with --list-version' in capsys.readouterr().err
    options = ['--list-version', '3A', '--splits', 'train', 'test', '--images', '3A_images', '--workers', '1']
    monkeypatch.setattr(sys, 'argv', [tool, str(root), *options])
    runpy.run_path(tool, run_name='__main__')
    assert 'written to' in capsys.readouterr().out
    assert {path.stem for path in (root / 'annotations').iterdir()} == {'slices_train', 'slices_test', 'statistics'}
