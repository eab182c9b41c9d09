"""Drawing a phantom as a command."""

import hashlib
import re
import runpy
import sys

import pytest
from phantom_helpers import FEW

from mmaffinity.datasets.phantom.writer import write_phantom

SMALL = dict(FEW, seed=3, size=96, slices_per_patient=1)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_the_same_files_as_from_python(tmp_path, repo_root, monkeypatch, capsys):
    write_phantom(tmp_path / 'python', **SMALL)
    tool = str(repo_root / 'tools' / 'dataset_converters' / 'phantom.py')
    options = [text for key, value in SMALL.items() for text in ('--' + key.replace('_', '-'), str(value))]
    monkeypatch.setattr(sys, 'argv', [tool, str(tmp_path / 'out'), *options])
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr()
    assert 'slices_test: 3 slices of 3 patients (1 Normal, 1 CP, 1 COVID-19)' in printed.out
    assert 'drawing: 15 of 15 slices' in printed.err
    assert digests(tmp_path / 'out') == digests(tmp_path / 'python')
    monkeypatch.setattr(sys, 'argv', [*sys.argv, '--size', '128'])
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(tool, run_name='__main__')
    assert re.search(r'error: .* other settings \(size 96 -> 128\)', capsys.readouterr().err)
