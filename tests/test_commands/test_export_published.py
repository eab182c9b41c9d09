"""Export in the layout of the published checkpoints, as a command."""

import runpy
import sys

import pytest
import torch
from published_helpers import published_weights

from mmaffinity.checkpoints.published import convert_published
from mmaffinity.checkpoints.untrusted import load_untrusted_checkpoint


@pytest.fixture
def run(monkeypatch, repo_root):
    def call(*arguments):
        tool = 'mmaffinity_to_published.py'
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        runpy.run_path(str(repo_root / 'tools/model_converters' / tool), run_name='__main__')

    return call


def test_a_converted_checkpoint_is_converted_back(run, tmp_path, capsys):
    weights = published_weights()
    torch.save(convert_published({'model_weights': weights}), tmp_path / 'a.pth')
    run(tmp_path / 'a.pth', tmp_path / 'back.pth')
    assert capsys.readouterr().out == f'Wrote {tmp_path / "back.pth"} in the published layout\n'
    back = load_untrusted_checkpoint(tmp_path / 'back.pth')['model_weights']
    assert list(back) == list(weights) and all(torch.equal(back[key], value) for key, value in weights.items())


def test_other_models_are_refused(run, tmp_path, capsys):
    torch.save({'state_dict': {'head.weight': torch.ones(1)}}, tmp_path / 'a.pth')
    with pytest.raises(SystemExit, match='2'):
        run(tmp_path / 'a.pth', tmp_path / 'back.pth')
    error = capsys.readouterr().err
    assert 'a.pth' in error and 'Traceback' not in error and not (tmp_path / 'back.pth').exists()
