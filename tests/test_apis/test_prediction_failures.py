"""Unexpected failures end a single scan and are reported."""

import json
import warnings

import numpy as np
import pytest
from scan_helpers import chest, chest_volume, dicom_slice, save_dicom, to_grey, write_images, write_nifti, write_series

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


@pytest.fixture
def two(tmp_path):
    for name in 'ab':
        write_images(tmp_path / 'in' / name, 2)
    return tmp_path / 'in'


def failing(function, error, when):
    def call(*args, **kwargs):
        if when(*args):
            raise error
        return function(*args, **kwargs)

    return call


def in_a(*args):
    return any(isinstance(arg, ImageScan) and arg.info.name == 'in/a' for arg in args)


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize('where', ['check', 'keys', 'read', 'folder', 'write_csv', 'versions of masks'])
def test_unexpected_failure_of_one_scan_does_not_stop_the_others(tmp_path, two, inferencer, monkeypatch, error, where):
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
    report = predict_to_folder(inferencer, two, tmp_path / 'out', overlays='none')
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
    again = predict_to_folder(inferencer, two, tmp_path / 'out', overlays='none', resume=True)
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


def test_python_api_yields_the_other_scans(two, inferencer, monkeypatch):
    monkeypatch.setattr(ImageScan, 'read', failing(ImageScan.read, KeyError('odd'), in_a))
    problems = []
    assert [item.scan.name for item in inferencer(two, on_problem=problems.append)] == ['in/b'] * 2
    assert [problem.failed for problem in problems] == [True] and "KeyError: 'odd'" in problems[0].reason
    with pytest.warns(UserWarning, match='in/a: cannot be predicted: KeyError'):
        assert len(list(inferencer(two))) == 2


def test_python_api_does_not_warn_about_clutter(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 1)
    (folder / '.DS_Store').write_bytes(b'\0\0\0\1Bud1')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert len(list(inferencer(folder))) == 1
    problems = []
    list(inferencer(folder, on_problem=problems.append))
    assert [problem.clutter for problem in problems] == [True]


def test_traceback_is_shown_on_request(two, inferencer, monkeypatch, capsys):
    monkeypatch.setattr(ImageScan, 'read', failing(ImageScan.read, KeyError('odd'), in_a))
    monkeypatch.setenv('MMAFFINITY_TRACEBACK', '1')
    list(inferencer(two, on_problem=lambda problem: None))
    assert "KeyError: 'odd'" in capsys.readouterr().err


def test_dicom_results_that_fail_are_warnings(tmp_path, inferencer, monkeypatch, capsys):
    pytest.importorskip('highdicom')
    write_series(tmp_path / 'in')
    for name, error in (('write_dicom_seg', ValueError('too many slices')), ('write_measurement_report', AssertionError())):
        monkeypatch.setattr(scan_writer, name, failing(getattr(scan_writer, name), error, lambda *args: True))
    monkeypatch.setenv('MMAFFINITY_TRACEBACK', '1')
    report = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out', overlays='none', dicom_seg=True, html=False)
    assert report.scans[0].notes[-2:] == [
        'warning: no DICOM-SEG (lesions.dcm): too many slices',
        'warning: no DICOM-SR (measurements.dcm): it cannot be written: AssertionError',
    ]
    assert report.failed
    error = capsys.readouterr().err
    assert 'Traceback' in error and 'AssertionError' in error and 'too many slices' not in error  # only of the unexpected one


def test_other_settings_stop_the_run(tmp_path, two, inferencer):
    predict_to_folder(inferencer, two, tmp_path / 'out', overlays='none')
    with pytest.raises(ValueError, match='was made with other settings'):
        predict_to_folder(inferencer, two, tmp_path / 'out', overlays='none', score_thr=0.7, resume=True)


def test_unwritable_report_is_an_error(tmp_path, two, inferencer, monkeypatch):
    write = scan_writer.OutputFolder.write
    monkeypatch.setattr(
        scan_writer.OutputFolder,
        'write',
        failing(write, OSError(28, 'No space left on device'), lambda out, *parts: parts == ('report.json',)),
    )
    with pytest.raises(
        ValueError, match=r'report.json cannot be written: OSError: .*No space left .*; fix this, and continue with --resume'
    ):
        predict_to_folder(inferencer, two, tmp_path / 'out', overlays='none')


def test_report_contains_all_notes(tmp_path, inferencer):
    """Notes on scan, slices and outputs; the same list is in prediction.json and is restored by --resume."""
    pytest.importorskip('pydicom')
    for index in range(4):
        grey = to_grey(chest(index))
        save_dicom(
            tmp_path / 'in' / f'{index}.dcm',
            dicom_slice(
                grey, index, BodyPartExamined='CHEST', PixelSpacing=None, ImagePositionPatient=[0, 0, (0, 5, 10, 25)[index]]
            ),
        )
    report = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out', overlays='none')
    notes = report.scans[0].notes
    for words in (
        'no PixelSpacing',
        'warning: RescaleSlope 1 and RescaleIntercept 0',
        'warning: about 2 slices are missing',
        'no NIfTI mask',
        'warning: HU look implausible: values from 60 to 255, but no air',
    ):
        assert sum(note.startswith(words) for note in notes) == 1, words
    assert read(tmp_path / 'out/report.json')['scans'][0]['notes'] == notes
    assert read(tmp_path / 'out' / report.scans[0].folder / 'prediction.json')['scan']['notes'] == notes
    again = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out', overlays='none', resume=True)
    assert again.scans[0].notes == notes


def test_missing_requested_segmentation_is_a_warning(tmp_path, inferencer):
    pytest.importorskip('highdicom')
    write_images(tmp_path / 'in' / 'png', 1)
    write_nifti(tmp_path / 'in' / 'v.nii', chest_volume(1))
    write_series(tmp_path / 'in' / 'dcm', 1, SOPInstanceUID='')
    report = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out', score_thr=0.3, overlays='none', dicom_seg=True)
    for scan in report.scans:
        (note,) = (note for note in scan.notes if 'DICOM-SEG' in note)
        assert note.startswith('warning: no DICOM-SEG (lesions.dcm): ')
    assert any('no SOPInstanceUID' in note for scan in report.scans for note in scan.notes)


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
