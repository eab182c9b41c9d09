"""The comparison of predictions as a command."""

import json
import runpy
import sys

import pytest
from model_helpers import allow_float64
from scan_helpers import write_images


def test_chosen_variants_are_compared(model, repo_root, tmp_path, monkeypatch, capsys):
    allow_float64(monkeypatch)
    slices = write_images(tmp_path / 'in', 3)
    tool = str(repo_root / 'tools/analysis_tools/agreement.py')
    arguments = [tool, *map(str, model), str(slices), '--max-slices', '2', '--out', str(tmp_path / 'a.json'), '--variants']
    monkeypatch.setattr(sys, 'argv', [*arguments, '1 thread'])
    runpy.run_path(tool, run_name='__main__')
    assert [row['name'] for row in json.loads((tmp_path / 'a.json').read_text())['variants']] == ['1 thread']
    assert 'differences from float64' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', [*arguments, '3 threads'])
    with pytest.raises(SystemExit):
        runpy.run_path(tool, run_name='__main__')
    assert "unknown variant '3 threads'" in capsys.readouterr().err
