"""Stored RoIs as a command; what they contain is tested with the API."""

import json
import sys

import pytest

from mmaffinity_cli import main


@pytest.fixture
def run(narrow_phantom, tmp_path, monkeypatch):
    config, checkpoint, overrides = narrow_phantom
    options = [f'{key}={value}'.replace(' ', '') for key, value in overrides.items()]

    def call(*words, checkpoint=checkpoint):
        command = ['rois', 'extract', config, checkpoint, '--out', tmp_path / 'rois', *words, '--cfg-options', *options]
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', *map(str, command)])
        main()

    return call


def test_each_labelled_slice_is_stored_and_a_result_is_kept(run, tiny_phantom, tmp_path, capsys):
    run()
    printed = capsys.readouterr()
    slices = json.loads((tmp_path / 'rois/rois.json').read_text())['slices']
    listed = set()
    for split in ('train', 'val', 'test'):
        content = json.loads((tiny_phantom / f'cncb_ncov/annotations/slices_{split}.json').read_text())
        listed |= {str(tiny_phantom / 'cncb_ncov' / row['img_path']) for row in content['data_list']}
    assert set(slices) == listed and len(slices) == len(listed)
    assert printed.out.endswith(f'The RoIs are in {tmp_path / "rois"}\n') and f'{len(slices)} of {len(slices)}' in printed.err
    with pytest.raises(SystemExit, match='2'):
        run()
    assert 'contains an earlier result' in capsys.readouterr().err
    run('--overwrite')
    assert json.loads((tmp_path / 'rois/rois.json').read_text())['slices'] == slices


def test_a_missing_checkpoint_leaves_no_folder(run, tmp_path, capsys):
    with pytest.raises(SystemExit, match='2'):
        run(checkpoint=tmp_path / 'absent.pth')
    assert 'absent.pth' in capsys.readouterr().err and not (tmp_path / 'rois').exists()
