"""Prediction with an exported model, also in a process without torch, with the same results as torch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scan_helpers import chest, to_grey, write_images

from mmaffinity.apis import AffinityInferencer, OnnxInferencer
from mmaffinity.runtime import BACKENDS

WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'mmdet', 'mmengine', 'mmcv', 'matplotlib', 'onnx', 'onnxscript'):
            raise ImportError(f'{name} is not installed')
sys.meta_path.insert(0, Refuse())
from mmaffinity_cli import main
main()
"""


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('size', [128, 200])
def test_predictions_equal_those_of_torch(backend, size, exported):
    pytest.importorskip(backend)
    slices = [to_grey(chest(index, size)) for index in range(2)]
    ours = list(OnnxInferencer(exported[2], backend, threads=1)(slices))
    theirs = list(AffinityInferencer(*exported[:2], device='cpu')(slices))
    for one, other in zip(ours, theirs, strict=True):
        assert one.label == other.label
        np.testing.assert_allclose([*one.probabilities.values()], [*other.probabilities.values()], atol=1e-3)
        lesions, expected = one.sample.pred_instances, other.sample.pred_instances
        assert len(lesions.bboxes) == len(expected) > 0
        # Boxes of nearly equal score may swap places.
        distances = np.abs(lesions.bboxes[:, None] - expected.bboxes.numpy()).max(2)
        assert distances.min(0).max() < 1e-2 and distances.min(1).max() < 1e-2
        np.testing.assert_allclose(lesions.scores, expected.scores, atol=1e-3)
        assert lesions.masks.shape == tuple(expected.masks.shape)
        assert (lesions.masks[distances.argmin(0)] != expected.masks.numpy()).mean() < 1e-3
        np.testing.assert_allclose(one.sample.pred_slice.roi_boxes, other.sample.pred_slice.roi_boxes, atol=1e-2)
        assert one.record(0.1).lesions and one.overlay().shape == other.overlay().shape


def test_the_command_runs_without_torch(exported, tmp_path, repo_root):
    pytest.importorskip('onnxruntime')
    folder = write_images(tmp_path / 'in', 2)
    env = {**os.environ, 'PYTHONPATH': str(repo_root)}
    command = ['predict', str(folder), '--model', str(exported[2]), '--backend', 'onnxruntime', '--out']
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_TORCH, *command, str(tmp_path / 'onnx'), '--overlays', 'none'],
        env=env,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    config, checkpoint = map(str, exported[:2])
    subprocess.run(
        [
            sys.executable,
            '-m',
            'mmaffinity',
            'predict',
            str(folder),
            '--config',
            config,
            '--checkpoint',
            checkpoint,
            '--device',
            'cpu',
            '--out',
            str(tmp_path / 'torch'),
            '--overlays',
            'none',
        ],
        env=env,
        check=True,
        cwd=tmp_path,
    )
    found, expected = ({path.name: path for path in (tmp_path / name / 'in').iterdir()} for name in ('onnx', 'torch'))
    assert found.keys() == expected.keys()
    rois = [[json.loads(row) for row in open(files['rois.jsonl'])] for files in (found, expected)]
    assert all(row['shares'] is None and row['weights'] and row['affinity'] for row in rois[0])
    assert all(row['shares'] for row in rois[1]) and len(rois[0]) == len(rois[1])
    one, other = (json.loads(files['prediction.json'].read_text()) for files in (found, expected))
    assert one.keys() == other.keys() and one['slices'][0].keys() == other['slices'][0].keys()
    assert one['model']['backend'].startswith('onnxruntime') and 'torch' not in one['versions']
    assert one['model']['exported_from'] == other['model']['checkpoint_sha256']
    assert [item['label'] for item in one['slices']] == [item['label'] for item in other['slices']]
    heads = [files['slices.csv'].read_text().splitlines()[0] for files in (found, expected)]
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--config', 'affinity_c8'], '--checkpoint'),
        (['--model', 'x.onnx', '--config', 'affinity_c8'], 'omit --config'),
        (['--model', 'x.onnx', '--device', 'cuda'], 'omit --device cuda'),
        (['--model', 'x.onnx', '--backend', 'torch'], 'omit --backend torch'),
        (['--config', 'affinity_c8', '--checkpoint', 'x.pth', '--backend', 'openvino'], 'export onnx'),
        (['--config', 'affinity_c8', '--checkpoint', 'x.pth', '--precision', 'int8'], 'export onnx --int8'),
        (['--model', 'x.onnx'], 'no such model: x.onnx'),
    ],
)
def test_invalid_arguments(arguments, message, tmp_path, capsys, monkeypatch):
    from mmaffinity_cli import main

    monkeypatch.chdir(tmp_path)
    folder = str(write_images(tmp_path / 'in', 1))
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'predict', folder, *arguments, '--out', 'out'])
    with pytest.raises(SystemExit):
        main()
    assert message in capsys.readouterr().err
