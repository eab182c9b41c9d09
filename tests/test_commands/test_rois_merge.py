"""A detector and a slice head joined by a command."""

import hashlib
import sys

import pytest
import torch

from mmaffinity_cli import main

HEAD = 'roi_head.cls_head.'


@pytest.fixture
def run(narrow_phantom, tmp_path, monkeypatch):
    config, checkpoint, overrides = narrow_phantom
    options = [f'{key}={value}'.replace(' ', '') for key, value in overrides.items()]

    def call(head):
        command = ['rois', 'merge', config, checkpoint, head, tmp_path / 'joined.pth', '--cfg-options', *options]
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', *map(str, command)])
        main()
        return tmp_path / 'joined.pth'

    return call


def test_head_replaces_that_of_the_detector(run, narrow_phantom, tmp_path, capsys):
    detector = torch.load(narrow_phantom[1], weights_only=True)['state_dict']
    head = {name: value + 1 for name, value in detector.items() if name.startswith(HEAD)}
    names = dict(slice_classes=('a', 'b', 'c'))
    torch.save(dict(state_dict=head, meta=dict(dataset_meta=names)), tmp_path / 'head.pth')
    joined = run(tmp_path / 'head.pth')
    assert capsys.readouterr().out == f'Wrote {joined}, sha256 {hashlib.sha256(joined.read_bytes()).hexdigest()}\n'
    content = torch.load(joined, weights_only=True)
    assert content['meta']['dataset_meta'] == names and len(head) > 5
    for name, value in content['state_dict'].items():
        assert torch.equal(value, head.get(name, detector[name])), name


def test_a_head_of_another_size_is_refused(run, tmp_path, capsys):
    torch.save(dict(state_dict={f'{HEAD}affinity.matrix': torch.ones(8, 99)}), tmp_path / 'head.pth')
    with pytest.raises(SystemExit, match='2'):
        run(tmp_path / 'head.pth')
    assert 'the slice head of ' in capsys.readouterr().err and not (tmp_path / 'joined.pth').exists()
