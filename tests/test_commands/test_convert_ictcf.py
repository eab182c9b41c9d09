"""Conversion of iCTCF as a command."""

import runpy
import sys

import pytest
from conversion_helpers import write_ictcf


def test_lists_are_written_and_a_missing_one_is_an_error(tmp_path, repo_root, monkeypatch, capsys):
    root = write_ictcf(tmp_path / 'ictcf')
    tool = str(repo_root / 'tools' / 'dataset_converters' / 'ictcf.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(root)])
    runpy.run_path(tool, run_name='__main__')
    assert 'slices_train' in capsys.readouterr().out and len(list((root / 'annotations').iterdir())) == 3
    monkeypatch.setattr(sys, 'argv', [tool, str(root), '--train-list', 'absent.txt'])
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(tool, run_name='__main__')
    assert 'error: the list absent.txt does not exist' in capsys.readouterr().err
