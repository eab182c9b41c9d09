"""Unexpected failures end a single scan and are reported."""

import json

import numpy as np
import pytest
from scan_helpers import failing, in_a, write_images

from mmaffinity.apis import SlicePrediction, scan_writer
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.scans.image_scan import ImageScan
from mmaffinity.scans.result_folders import ResultFolders

ERRORS = [
    RuntimeError('odd'),
    KeyError('k'),
    AssertionError(),
    ZeroDivisionError('z'),
    OSError(28, 'No space left on device'),
    np.linalg.LinAlgError('SVD did not converge'),
    RecursionError('deep'),
    ValueError('of a library'),
]


def read(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize('where', ['check', 'keys', 'read', 'folder', 'write_csv', 'versions of masks'])
def test_unexpected_failure_of_one_scan_does_not_stop_the_others(tmp_path, two_scans, inferencer, monkeypatch, error, where):
    if where == 'folder':
        monkeypatch.setattr(ResultFolders, 'of', failing(ResultFolders.of, error, in_a))
    elif where == 'write_csv':
        monkeypatch.setattr(
            scan_writer, 'write_csv', failing(scan_writer.write_csv, error, lambda out, folder, *_: folder == 'in_a')
        )
    elif where == 'versions of masks':
        monkeypatch.setattr(scan_writer, 'write_nifti_mask', failing(scan_writer.write_nifti_mask, error, in_a))
    else:
        monkeypatch.setattr(ImageScan, where, failing(getattr(ImageScan, where), error, in_a))
    monkeypatch.setattr(
        inferencer, 'predict_slices', lambda slices: (SlicePrediction(item, _sample(), (), ()) for item in slices)
    )
    report = predict_to_folder(inferencer, two_scans, tmp_path / 'out', overlays='none')
    written = read(tmp_path / 'out' / 'report.json')
    if where == 'versions of masks':
        assert [scan.name for scan in report.scans] == ['in/a', 'in/b']
        assert report.scans[0].notes[-1].startswith('warning: no NIfTI mask')
        assert report.failed is not isinstance(error, ValueError)  # a ValueError is a rejection
    else:
        assert [scan.name for scan in report.scans] == ['in/b'] and report.problems[0].source == 'in/a'
        refused = where == 'check' and isinstance(error, ValueError)
        assert report.failed is not refused and written['not_predicted'][0]['source'] == 'in/a'
    monkeypatch.undo()
    again = predict_to_folder(inferencer, two_scans, tmp_path / 'out', overlays='none', resume=True)
    assert [scan.name for scan in again.scans] == ['in/a', 'in/b'] and not again.problems and not again.failed


def _sample():
    from mmaffinity.structures import SliceDataSample

    return SliceDataSample()


@pytest.mark.parametrize('batch_size', [1, 8])
def test_model_failure_on_one_slice_does_not_stop_the_others(tmp_path, inferencer, monkeypatch, batch_size):
    folder = write_images(tmp_path / 'in', 3)
    forward = inferencer.model.test_step
    monkeypatch.setattr(inferencer, 'batch_size', batch_size)
    monkeypatch.setattr(
        inferencer.model,
        'test_step',
        failing(
            forward,
            RuntimeError('CUDA out of memory'),
            lambda data: any(sample.img_path.endswith('slice_1.png') for sample in data['data_samples']),
        ),
    )
    report = predict_to_folder(inferencer, folder, tmp_path / 'out', overlays='none')
    assert report.scans[0].num_predicted == 2 and report.failed
    (problem,) = report.problems
    assert problem.source == 'in/slice_1.png' and problem.reason == 'cannot be predicted: RuntimeError: CUDA out of memory'
    assert 'warning: 1 slice could not be predicted' in ' '.join(report.scans[0].notes)


def test_other_settings_stop_the_run(tmp_path, two_scans, inferencer):
    predict_to_folder(inferencer, two_scans, tmp_path / 'out', overlays='none')
    with pytest.raises(ValueError, match='was made with other settings'):
        predict_to_folder(inferencer, two_scans, tmp_path / 'out', overlays='none', score_thr=0.7, resume=True)


def test_clutter_is_counted_separately(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 1)
    (folder / 'Thumbs.db').write_bytes(b'x')
    report = predict_to_folder(inferencer, folder, tmp_path / 'out', overlays='none')
    assert not report.problems and report.clutter[0].source == 'in/Thumbs.db'
    written = read(tmp_path / 'out' / 'report.json')
    assert written['not_predicted'] == [] and written['clutter'][0]['source'] == 'in/Thumbs.db'
    (folder / 'slice_0.png').unlink()
    with pytest.raises(ValueError, match=r'there is nothing to predict: in/Thumbs.db: was left by a file manager'):
        predict_to_folder(inferencer, folder, tmp_path / 'other')
