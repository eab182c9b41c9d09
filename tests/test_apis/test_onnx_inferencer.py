"""Prediction with an exported model, also in a process without torch, with the same results as torch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scan_helpers import chest, to_grey, write_images

from mmaffinity.apis import AffinityInferencer, OnnxInferencer
from mmaffinity.apis.onnx_inferencer import check_fallback
from mmaffinity.runtime import BACKENDS, read_model_file

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
        (['--model', 'x.onnx', '--fallback-margin', '0.2'], '--fallback-margin needs --fallback'),
        (['--config', 'affinity_c8', '--checkpoint', 'x.pth', '--fallback', 'x.onnx'], '--fallback needs an exported model'),
        (['--config', 'a', '--checkpoint', 'x.pth', '--fallback-margin', '0.1'], '--fallback-margin needs an exported model'),
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


FIELDS = dict(
    pred_instances=['bboxes', 'scores', 'masks'],
    pred_slice=['score', 'logits', 'roi_boxes', 'roi_scores', 'roi_features', 'affinity', 'features'],
)


@pytest.fixture
def answers(exported, exported_int8):
    """Slices, and the margin between the classes of each in int8 and the predictions in float32."""
    pytest.importorskip('onnxruntime')
    slices = [np.roll(to_grey(chest(index, 128)), 11 * index, axis=0) for index in range(3)]
    low, full = (list(OnnxInferencer(model, 'onnxruntime', threads=1)(slices)) for model in (exported_int8, exported[2]))
    margins = [abs(np.subtract(*np.sort([*one.probabilities.values()])[-2:])) for one in low]
    assert len(set(margins)) == len(slices) and all(one.probabilities != two.probabilities for one, two in zip(low, full))
    return slices, margins, low, full


@pytest.mark.parametrize('batch_size', [1, 3])
def test_the_fallback_repeats_only_undecided_slices(batch_size, answers, exported, exported_int8):
    slices, margins, low, full = answers
    between = float(np.mean(np.sort(margins)[:2]))  # only the slice with the smallest margin is undecided
    inferencer = OnnxInferencer(
        exported_int8, 'onnxruntime', threads=1, batch_size=batch_size, fallback=exported[2], fallback_margin=between
    )
    found = list(inferencer(slices))
    assert inferencer.description['fallback_margin'] == between and len(inferencer.description['fallback_sha256']) == 64
    for margin, one, in_int8, in_float32 in zip(margins, found, low, full, strict=True):
        expected, other = (in_float32, in_int8) if margin < between else (in_int8, in_float32)
        note = 'class undecided in int8: predicted again in float32'
        assert one.slice.notes == ((note,) if expected is in_float32 else ()) == tuple(one.record().notes)
        # Everything comes from the same model.
        for part, names in FIELDS.items():
            for name in names:
                actual, wanted = one.sample[part][name], expected.sample[part][name]
                np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5, err_msg=name)
                differs = np.shape(wanted) != np.shape(other.sample[part][name])
                assert differs or not np.allclose(wanted, other.sample[part][name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize(
    ('low', 'repeated'), [([0.9, 0.4], False), ([0.5, 0.4], True), ([0.4, 0.8], False), ([0.4, np.nan], True), ([0.2], False)]
)
def test_the_class_of_an_undecided_slice_is_that_of_the_fallback(low, repeated, answers, exported, exported_int8, monkeypatch):
    """Also if a probability in low precision is NaN; a model of one class is never undecided."""
    inferencer = OnnxInferencer(exported_int8, 'onnxruntime', threads=1, fallback=exported[2], fallback_margin=0.3)
    run, calls = inferencer.session.run, []

    def session(values, again):
        def outputs(slices):
            calls.append(again)
            logits = np.log(values) - np.log1p(-np.array(values))
            return {**run(slices), 'probabilities': np.array([values]), 'logits': logits[None]}

        return outputs

    monkeypatch.setattr(inferencer.session, 'run', session(low, False))
    monkeypatch.setattr(inferencer._fallback, 'run', session([0.1, 0.8], True))
    inferencer.slice_classes = inferencer.slice_classes[:2] if len(low) == 2 else ('only',)
    (prediction,) = inferencer(answers[0][:1])
    assert calls == [False, True][: 1 + repeated]
    chosen = [0.1, 0.8] if repeated else low
    assert list(prediction.probabilities.values()) == chosen
    assert prediction.label == inferencer.slice_classes[int(np.argmax(chosen))]


def test_bfloat16_can_fall_back_on_its_own_file(answers, exported):
    pytest.importorskip('openvino')
    slices, _, _, full = answers
    assert OnnxInferencer(exported[2], 'openvino', 'bfloat16', 1, fallback=exported[2]).fallback_margin == 0.15
    found = list(OnnxInferencer(exported[2], 'openvino', 'bfloat16', 1, fallback=exported[2], fallback_margin=1.0)(slices))
    for one, expected in zip(found, full, strict=True):
        np.testing.assert_allclose([*one.probabilities.values()], [*expected.probabilities.values()], atol=1e-5)


def test_an_unsuitable_fallback_is_an_error(exported, exported_int8, tmp_path):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    with pytest.raises(ValueError, match='runs in float32, which needs no fallback'):
        OnnxInferencer(exported[2], 'onnxruntime', fallback=exported[2])
    with pytest.raises(ValueError, match='int8.onnx is an int8 model: the fallback must be exported without --int8'):
        OnnxInferencer(exported_int8, 'onnxruntime', fallback=exported_int8)
    for margin in (0, 1.5, float('nan')):
        with pytest.raises(ValueError, match='fallback_margin must be above 0 and at most 1'):
            OnnxInferencer(exported_int8, 'onnxruntime', fallback=exported[2], fallback_margin=margin)
    other = onnx.load(exported[2])
    described = json.loads(other.metadata_props[0].value)
    # The names of config and checkpoint may differ.
    other.metadata_props[0].value = json.dumps({**described, 'config': 'copy.py', 'checkpoint': 'best.pth'})
    onnx.save(other, tmp_path / 'other.onnx')
    OnnxInferencer(exported_int8, 'onnxruntime', fallback=tmp_path / 'other.onnx')
    with pytest.raises(ValueError, match='fallback_margin needs a fallback'):
        OnnxInferencer(exported_int8, 'onnxruntime', fallback_margin=0.5)
    other.metadata_props[0].value = json.dumps({**described, 'score_threshold': 0.3, 'checkpoint_sha256': '0' * 64})
    onnx.save(other, tmp_path / 'other.onnx')
    with pytest.raises(ValueError, match=r'not the same model as .* \(different checkpoint_sha256, score_threshold\)'):
        OnnxInferencer(exported_int8, 'onnxruntime', fallback=tmp_path / 'other.onnx')


def test_a_model_that_only_detects_needs_no_fallback(exported, tmp_path):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(exported[2])
    model.metadata_props[0].value = json.dumps({**json.loads(model.metadata_props[0].value), 'mode': 'detection'})
    onnx.save(model, tmp_path / 'detection.onnx')
    detection = read_model_file(tmp_path / 'detection.onnx')
    with pytest.raises(ValueError, match='does not choose between slice classes'):
        check_fallback(detection, 'bfloat16', detection)


def test_the_command_notes_repeated_slices(exported, exported_int8, tmp_path, capsys, monkeypatch):
    pytest.importorskip('onnxruntime')
    from mmaffinity_cli import main

    folder = write_images(tmp_path / 'in', 2)
    command = ['predict', str(folder), '--model', str(exported_int8), '--backend', 'onnxruntime', '--overlays', 'none']
    fallback = ['--fallback', str(exported[2]), '--fallback-margin', '1']
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', *command, *fallback, '--out', str(tmp_path / 'out')])
    assert not main()
    content = json.loads((tmp_path / 'out' / 'in' / 'prediction.json').read_text())
    model = content['model']
    assert 'class undecided in int8: predicted again in float32' in content['scan']['notes']
    assert model['precision'] == 'int8' and model['fallback_margin'] == 1 and model['fallback_sha256']
    assert OnnxInferencer(exported_int8, 'onnxruntime', fallback=exported[2]).fallback_margin == 0.6
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', *command, '--resume', '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit):
        main()
    # Results with and without a fallback are not mixed.
    assert 'made with other settings (fallback_margin, fallback_sha256)' in capsys.readouterr().err
