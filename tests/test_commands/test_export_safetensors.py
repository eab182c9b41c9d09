"""Sharing a model as data, as a command."""

import hashlib
import runpy
import sys

import pytest

pytest.importorskip('safetensors', reason='safetensors is not installed: install the extra safetensors')


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_hash_of_the_weights_is_printed(model, tmp_path, repo_root, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['export', str(model[0]), str(model[1]), str(tmp_path / 'new/out')])
    runpy.run_path(str(repo_root / 'tools/model_converters/export_safetensors.py'), run_name='__main__')
    assert digest(tmp_path / 'new/out.safetensors') in capsys.readouterr().out
    assert (tmp_path / 'new/out.json').exists()
