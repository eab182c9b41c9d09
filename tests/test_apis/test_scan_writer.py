"""Results of a scan: what is written, and failures that end a single file, slice or scan."""

import json
import os
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from scan_helpers import (
    chest,
    chest_volume,
    dicom_slice,
    failing,
    save_dicom,
    to_grey,
    write_images,
    write_nifti,
    write_series,
)

from mmaffinity.apis import base_inferencer as inferencer_module
from mmaffinity.apis import scan_writer
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.apis.prediction_report import report_lines
from mmaffinity.scans import Lesion, SliceRecord


def read(path):
    return json.loads(path.read_text())


def test_write_failure_of_one_scan_does_not_stop_the_others(tmp_path, inferencer, monkeypatch):
    for name in ('a', 'b'):
        write_images(tmp_path / 'in' / name, 2)
    write_csv = scan_writer.write_csv

    def refuse_a(out, folder, *args):
        if folder.endswith('a'):
            raise ValueError('Out of range float values are not JSON compliant')
        write_csv(out, folder, *args)

    monkeypatch.setattr(scan_writer, 'write_csv', refuse_a)
    report = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out')
    assert [scan.name for scan in report.scans] == ['in/b']
    assert 'its results cannot be written: Out of range' in report.problems[0].reason
    assert read(tmp_path / 'out/report.json')['not_predicted'][0]['source'] == 'in/a'


def test_measurement_failure_of_one_slice_does_not_stop_the_others(tmp_path, inferencer, monkeypatch):
    folder = write_images(tmp_path / 'in', 3)
    measure = inferencer_module.measure

    def fail_one(item, *args, **kwargs):
        if item.index == 1:
            raise MemoryError('too many masks')
        return measure(item, *args, **kwargs)

    monkeypatch.setattr(inferencer_module, 'measure', fail_one)
    report = predict_to_folder(inferencer, folder, tmp_path / 'out')
    assert report.scans[0].num_predicted == 2 and 'cannot be measured' in report.problems[0].reason


def test_memory_per_slice_is_a_key_and_an_offset(tmp_path, inferencer, monkeypatch):
    """No results are kept in memory, neither during prediction nor while files are written."""
    pixel, number, seen = write_images(tmp_path / 'one', 1) / 'slice_0.png', 3000, []
    (tmp_path / 'in').mkdir()
    for index in range(number):
        os.link(pixel, tmp_path / 'in' / f'slice_{index}.png')
    lesion = Lesion(0.9, 0, [0, 0, 9, 9], 81, None, {'size': [64, 64], 'counts': 'x' * 2000})
    monkeypatch.setattr(
        inferencer,
        'predict_scan',
        lambda scan, done: (SimpleNamespace(slice=SimpleNamespace(key=key, index=i)) for i, key in enumerate(scan.keys())),
    )
    monkeypatch.setattr(
        scan_writer.ScanWriter,
        '_measure',
        lambda self, folder, result: SliceRecord(
            result.slice.index, result.slice.key, 64, 64, None, None, 'CP', {'CP': 0.5}, [lesion]
        ),
    )

    def look(done, total, name):
        if done in (500, number):
            seen.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.reset_peak()

    tracemalloc.start()
    report = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out', progress=look)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.scans[0].num_predicted == number
    # A record has over 2000 bytes.
    assert (seen[1] - seen[0]) / (number - 500) < 400 and (peak - seen[1]) / number < 400


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


def test_model_of_a_phantom_is_a_warning(tmp_path, inferencer, monkeypatch, capsys):
    monkeypatch.setitem(inferencer.description, 'synthetic_data', True)
    report = predict_to_folder(inferencer, write_images(tmp_path / 'in', 1), tmp_path / 'out', overlays='none')
    note = "warning: the model's training slices are synthetic (phantom): its results on real CT mean nothing"
    assert report.scans[0].notes.count(note) == 1
    content = read(tmp_path / 'out' / report.scans[0].folder / 'prediction.json')
    assert note in content['scan']['notes'] and content['model']['synthetic_data'] is True
    assert note in '\n'.join(report_lines(report, tmp_path / 'out'))
    assert note.removeprefix('warning: ') in (tmp_path / 'out' / report.scans[0].folder / 'index.html').read_text()


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


def test_outdated_masks_are_removed(tmp_path, inferencer):
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    folder = write_series(tmp_path / 'in', 3)
    (scan,) = predict_to_folder(inferencer, folder, tmp_path / 'out', score_thr=0.3).scans
    assert (tmp_path / 'out' / scan.folder / 'lesions.nii.gz').exists()
    save_dicom(folder / 'far.dcm', dicom_slice(chest().astype(np.int16), 40))
    (scan,) = predict_to_folder(inferencer, folder, tmp_path / 'out', score_thr=0.3, resume=True).scans
    assert not (tmp_path / 'out' / scan.folder / 'lesions.nii.gz').exists()
    assert 'no NIfTI mask: the slices do not form a regular grid' in scan.notes
