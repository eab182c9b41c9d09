"""Conversion of CNCB-NCOV as a command."""

import json
import os
import runpy
import sys

import pytest
from conversion_helpers import CNCB_OUTPUTS, write_cncb_ncov


def run(monkeypatch, repo_root, *arguments):
    tool = str(repo_root / 'tools' / 'dataset_converters' / 'cncb_ncov.py')
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(tool, run_name='__main__')


@pytest.fixture
def root(tmp_path):
    return write_cncb_ncov(tmp_path / 'cncb')


def names(root):
    folder = root / 'annotations'
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_parts_and_checks_are_chosen(root, repo_root, monkeypatch, capsys):
    run(monkeypatch, repo_root, root, '--min-area', 10, '--workers', 1)
    output = capsys.readouterr().out
    assert 'with lesions' in output and 'grey levels of 3 slices' in output
    assert names(root) == CNCB_OUTPUTS
    run(monkeypatch, repo_root, root, '--only', 'lesions', '--keep-classes-apart')
    assert len(json.loads((root / 'annotations/lesions_test.json').read_text())['categories']) == 2
    (root / 'CP/7/17/0000.png').unlink()
    with pytest.raises(SystemExit) as info:
        run(monkeypatch, repo_root, root, '--skip-statistics')
    assert info.value.code == 2
    assert f'error: 1 file is missing under {root} (1 for 3 slices from' in capsys.readouterr().err
    run(monkeypatch, repo_root, root, '--skip-statistics', '--no-check-files')


def test_an_interruption_leaves_nothing(root, repo_root, monkeypatch):

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'fsync', interrupted)
    with pytest.raises(SystemExit, match='130'):
        run(monkeypatch, repo_root, root)
    assert names(root) == set()
