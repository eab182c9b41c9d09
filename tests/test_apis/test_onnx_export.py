"""Export of a model as one ONNX file."""

import os

import numpy as np
import pytest
import torch
from scan_helpers import write_images

from mmaffinity.apis import OnnxInferencer
from mmaffinity.apis.onnx_export import export_onnx


def test_metadata_describes_the_model_but_not_the_machine(exported, repo_root):
    content = exported[2].read_bytes()
    for text in (str(repo_root), str(exported[0].parent), os.path.dirname(np.__file__), '.py'):
        assert text.encode() not in content.replace(b'narrow.py', b'')
    described = OnnxInferencer(exported[2], threads=1).model.description
    assert described['config'] == 'narrow.py' and described['checkpoint'] == 'model_0.pth' and 'notice' in described
    assert described['preprocessing']['window'] == {'level': -600, 'width': 1500}
    assert described['preprocessing']['in_graph']['normalization'] == 'slice'


def test_synthetic_training_data_stay_on_record(exported, tmp_path):
    content = torch.load(exported[1], weights_only=True)
    torch.save(dict(content, meta=dict(synthetic_data=True)), tmp_path / 'marked.pth')
    model = export_onnx(exported[0], tmp_path / 'marked.pth', tmp_path / 'marked.onnx')
    assert OnnxInferencer(model, threads=1).description['synthetic_data'] is True
    assert 'synthetic_data' not in OnnxInferencer(exported[2], threads=1).description


def test_export_is_reproducible_and_failure_keeps_the_old_file(exported, tmp_path):
    target = tmp_path / 'again.onnx'
    export_onnx(*exported[:2], target)
    assert target.read_bytes() == exported[2].read_bytes()
    with pytest.raises(ValueError, match='keep_ratio'):
        export_onnx(*exported[:2], target, {'test_dataloader.dataset.datasets.1.pipeline.1.keep_ratio': True})
    assert target.read_bytes() == exported[2].read_bytes() and list(tmp_path.iterdir()) == [target]
    with pytest.raises(ValueError, match='must end with .onnx'):
        export_onnx(*exported[:2], tmp_path / 'model.bin')


def test_int8_export_records_its_calibration_and_is_reproducible(exported, exported_int8, tmp_path):
    described = OnnxInferencer(exported_int8, threads=1).model.description
    assert described['precision'] == 'int8' and described['calibration']['slices'] == 3
    again = export_onnx(*exported[:2], tmp_path / 'again.onnx', int8=[write_images(tmp_path / 'in', 3)])
    assert again.read_bytes() == exported_int8.read_bytes()
    assert exported_int8.stat().st_size < exported[2].stat().st_size


def test_missing_calibration_slices_are_an_error(exported, tmp_path):
    (tmp_path / 'broken.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match='no calibration slice could be read from .*broken.png'):
        export_onnx(*exported[:2], tmp_path / 'x.onnx', int8=[tmp_path / 'broken.png'])
    with pytest.raises(FileNotFoundError, match='nowhere'):
        export_onnx(*exported[:2], tmp_path / 'x.onnx', int8=[tmp_path / 'nowhere'])
    with pytest.raises(ValueError, match='at least 1, not 0'):
        export_onnx(*exported[:2], tmp_path / 'x.onnx', int8=[write_images(tmp_path / 'in', 1)], calibration=0)
    assert not list(tmp_path.glob('*.onnx*'))


def test_unsupported_models_are_rejected(tmp_path, exported):
    with pytest.raises(ValueError, match='does not match the config'):
        export_onnx('baselines/covid_ct_mask_net', exported[1], tmp_path / 'x.onnx')
