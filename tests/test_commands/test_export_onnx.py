"""Export to ONNX as a command; tests of the file are with the API."""

import sys

import pytest
from scan_helpers import write_images

from mmaffinity_cli import main


@pytest.fixture
def run(model, monkeypatch, tmp_path, capsys):
    def call(*words):
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'export', 'onnx', *map(str, (*model, *words))])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    return call


def test_misuse_is_reported_without_a_file(run, tmp_path):
    pytest.importorskip('onnx'), pytest.importorskip('onnxscript')
    assert run(tmp_path / 'model.bin') == f'error: {tmp_path}/model.bin must end with .onnx'
    slices = write_images(tmp_path / 'in', 1)
    for options, message in (
        (['--int8', slices, '--calibration-slices', '0'], 'the number of calibration slices must be at least 1, not 0'),
        (['--int8', tmp_path / 'nowhere'], 'nowhere'),
        (['--cfg-options', 'model.roi_head.cls_head.num_rois=6'], 'does not match the config'),
    ):
        assert message in run(tmp_path / 'model.onnx', *options)
    assert not list(tmp_path.glob('*.onnx*'))
