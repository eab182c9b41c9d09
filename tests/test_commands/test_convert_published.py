"""Conversion of published checkpoints as a command."""

import os
import runpy
import sys

import pytest
import torch
from published_helpers import published_content, published_weights


class Payload:
    def __reduce__(self):
        return os.system, ('touch it_ran',)


@pytest.fixture
def run(monkeypatch, repo_root):
    def call(*arguments):
        tool = 'published_to_mmaffinity.py'
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        runpy.run_path(str(repo_root / 'tools/model_converters' / tool), run_name='__main__')

    return call


def test_config_and_source_are_printed(run, tmp_path, monkeypatch, capsys):
    torch.save(published_content(monkeypatch, published_weights()), tmp_path / 'author.pth')
    run(tmp_path / 'author.pth', tmp_path / 'a.pth')
    out = capsys.readouterr().out
    for line in ('affinity model from author.pth', 'config: configs/published/affinity_c8.py', 'sha256 of the source'):
        assert line in out
    assert (tmp_path / 'a.pth').is_file()


def test_parts_that_are_no_model_are_listed(run, tmp_path, capsys):
    """A backbone alone, with a tensor of another network."""
    weights = {key: value for key, value in published_weights().items() if key.startswith('backbone.body.')}
    torch.save({'model_weights': {**weights, 'other.weight': torch.ones(1)}, 'optimizer': {'lr': 1}}, tmp_path / 'some.pth')
    run(tmp_path / 'some.pth', tmp_path / 'a.pth')
    lines = capsys.readouterr().out.splitlines()
    assert 'config: none, because these parts do not make a complete model' in lines
    assert {'read: backbone', 'not read: other.weight', 'ignored: optimizer (dict)'} <= set(lines)
    assert lines[-1] == 'anchors: not in the file; those of configs/published are assumed'


def test_code_in_the_file_is_refused(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bad = published_content(monkeypatch, published_weights())
    bad['anchor_generator']._cache = Payload()
    torch.save(bad, tmp_path / 'bad.pth')
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / 'bad.pth', tmp_path / 'out.pth')
    assert ended.value.code == 2 and f'refused {os.name}.system' in capsys.readouterr().err
    assert not (tmp_path / 'it_ran').exists() and not (tmp_path / 'out.pth').exists()
