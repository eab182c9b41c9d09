"""Predictions that are interrupted, resumed, or repeated in one folder."""

import json
import os
import re

import pytest
from scan_helpers import (
    write_images,
    write_series,
)

from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.scans import ReadOptions, image_scan


def read(path):
    return json.loads(path.read_text())


def snapshot(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob('*')}


def strip(folder):
    """Content of the result files without their creation time."""
    contents = {}
    for path in sorted(folder.rglob('*')):
        if path.suffix in ('.json', '.csv', '.jsonl'):
            text = path.read_text()
            contents[str(path.relative_to(folder))] = [line for line in text.splitlines() if '"created"' not in line]
        elif path.suffix == '.html':
            contents[str(path.relative_to(folder))] = re.sub('"created":"[^"]*"', '', path.read_text())
        elif path.is_file():
            contents[str(path.relative_to(folder))] = path.read_bytes()
    return contents


class Interrupt(BaseException):
    """As a key press or a signal: not what is caught around each scan."""


@pytest.mark.parametrize('after', [1, 4, 8])
def test_resume_neither_repeats_nor_loses_slices(tmp_path, mixed, inferencer, monkeypatch, after):
    options = dict(score_thr=0.3, overlays='lesions')
    predict_to_folder(inferencer, mixed, tmp_path / 'whole', **options)

    def stop(done, total, name):
        if done == after:
            raise Interrupt

    with pytest.raises(Interrupt):
        predict_to_folder(inferencer, mixed, tmp_path / 'out', progress=stop, **options)
    assert not (tmp_path / 'out' / 'report.json').exists()
    # A killed process leaves a partial line.
    for journal in (tmp_path / 'out').glob('*/journal.jsonl'):
        with open(journal, 'a') as file:
            file.write('{"key": "ha')
    predicted = []
    predict_slices = inferencer.predict_slices
    monkeypatch.setattr(
        inferencer, 'predict_slices', lambda slices: predict_slices(predicted.append(item.name) or item for item in slices)
    )
    predict_to_folder(inferencer, mixed, tmp_path / 'out', resume=True, **options)
    assert len(predicted) == 9 - after
    assert strip(tmp_path / 'out') == strip(tmp_path / 'whole')
    predicted.clear()
    report = predict_to_folder(inferencer, mixed, tmp_path / 'out', resume=True, **options)
    assert predicted == [] and len(report.scans) == 3 and strip(tmp_path / 'out') == strip(tmp_path / 'whole')


def test_resume_predicts_new_and_changed_slices(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 2, first=1)
    predict_to_folder(inferencer, folder, tmp_path / 'out')
    write_images(folder, 1)
    (folder / 'slice_2.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    report = predict_to_folder(inferencer, folder, tmp_path / 'out', resume=True)
    content = read(tmp_path / 'out' / 'in' / 'prediction.json')
    found = [(item['index'], item['name']) for item in content['slices']]
    assert found == [(0, 'in/slice_0.png'), (1, 'in/slice_1.png')]
    assert len(content['not_predicted']) == 1 == len(report.problems) and report.scans[0].num_slices == 3


def test_resume_after_a_kill_before_the_final_files(tmp_path, inferencer, monkeypatch):
    """The result of an earlier, complete run must not pass for that of the extended scan."""
    folder = write_images(tmp_path / 'in', 2)
    predict_to_folder(inferencer, folder, tmp_path / 'out')
    write_images(folder, 3)

    def die(*args, **kwargs):
        raise Interrupt

    with monkeypatch.context() as patch:
        patch.setattr('mmaffinity.apis.scan_writer.write_csv', die)
        with pytest.raises(Interrupt):
            predict_to_folder(inferencer, folder, tmp_path / 'out', resume=True)
    report = predict_to_folder(inferencer, folder, tmp_path / 'out', resume=True)
    assert report.scans[0].num_slices == report.scans[0].num_predicted == 3
    assert len(read(tmp_path / 'out/in/prediction.json')['slices']) == 3


def test_resume_retries_unreadable_slices(tmp_path, inferencer, monkeypatch):
    folder = write_images(tmp_path / 'in', 3)
    decode, fails = image_scan.decode_slice, [False, True, False]

    def sometimes(*args):
        if fails.pop():
            raise MemoryError('not now')
        return decode(*args)

    with monkeypatch.context() as patch:
        patch.setattr(image_scan, 'decode_slice', sometimes)
        report = predict_to_folder(inferencer, folder, tmp_path / 'out')
    assert report.scans[0].num_predicted == 2 and len(report.problems) == 1
    done = []
    report = predict_to_folder(inferencer, folder, tmp_path / 'out', resume=True, progress=lambda *args: done.append(args[:2]))
    assert report.scans[0].num_predicted == 3 and not report.problems and done[-1] == (3, 3)
    report = predict_to_folder(inferencer, folder, tmp_path / 'out', resume=True)
    assert report.scans[0].num_predicted == 3 and not report.problems


def test_file_changed_during_the_run_is_reported(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 3)

    def touch(done, total, name):
        if done == 1:
            os.utime(folder / 'slice_2.png', ns=(1, 1))

    report = predict_to_folder(inferencer, folder, tmp_path / 'out', progress=touch)
    (scan,) = report.scans
    assert (scan.num_slices, scan.num_predicted, scan.num_not_predicted) == (3, 2, 1)
    assert 'changed during the run' in report.problems[0].reason
    assert predict_to_folder(inferencer, folder, tmp_path / 'out', resume=True).scans[0].num_predicted == 3


def test_earlier_results_are_not_overwritten_by_accident(tmp_path, model, inferencer):
    folder = write_images(tmp_path / 'in', 1)
    predict_to_folder(inferencer, folder, tmp_path / 'out')
    with pytest.raises(FileExistsError, match='--resume'):
        predict_to_folder(inferencer, folder, tmp_path / 'out')
    with pytest.raises(ValueError, match=r'other settings \(score_thr\)'):
        predict_to_folder(inferencer, folder, tmp_path / 'out', score_thr=0.2, resume=True)
    other = AffinityInferencer(*model, device='cpu', options=ReadOptions(max_value=4095))
    with pytest.raises(ValueError, match=r'other settings \(max_value\)'):
        predict_to_folder(other, folder, tmp_path / 'out', resume=True)


def test_only_one_run_writes_to_a_folder(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 2)
    refused = []

    def second(done, total, name):
        for resume in (False, True):
            with pytest.raises(ValueError, match='another process is writing to .*out: wait for it to finish'):
                predict_to_folder(inferencer, folder, tmp_path / 'out', resume=resume)
            refused.append(resume)

    report = predict_to_folder(inferencer, folder, tmp_path / 'out', progress=second)
    assert len(refused) == 4 and report.scans[0].num_predicted == 2
    # No lock is left that would block the next run.
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'in',
        'index.html',
        'lesions.json',
        'report.json',
        'slices.csv',
    ]
    predict_to_folder(inferencer, folder, tmp_path / 'out', resume=True)


@pytest.fixture
def predicted(inferencer, monkeypatch):
    """Names of the slices that the model gets."""
    names, predict_slices = [], inferencer.predict_slices
    monkeypatch.setattr(
        inferencer, 'predict_slices', lambda slices: predict_slices(names.append(item.name) or item for item in slices)
    )
    return names


@pytest.mark.parametrize('first, second', [('b', 'a'), ('a', 'b')])
def test_resume_with_a_new_series_keeps_earlier_results(tmp_path, inferencer, predicted, first, second):
    pytest.importorskip('pydicom')
    write_series(tmp_path / 'in' / first, 2, series=first)
    predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out')
    predicted.clear()
    write_series(tmp_path / 'in' / second, 3, series=second)
    report = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out', resume=True)
    assert sorted(predicted) == [f'in/{second}/im_00{index}.dcm' for index in (1, 2, 3)]
    assert {path.parent.name for path in (tmp_path / 'out').glob('*/journal.jsonl')} == {scan.folder for scan in report.scans}
    predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'whole')
    assert strip(tmp_path / 'out') == strip(tmp_path / 'whole')


def test_resume_with_inserted_slices_equals_a_full_run(tmp_path, inferencer, predicted):
    """Numbers, pictures, slabs, volumes and masks of earlier slices are updated."""
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    folder = write_series(tmp_path / 'in', 5)
    (tmp_path / 'aside').mkdir()
    for name in ('im_002.dcm', 'im_004.dcm'):
        (folder / name).rename(tmp_path / 'aside' / name)
    # Two files with equal names, whose number in the scan changes.
    (folder / 'sub').mkdir()
    (folder / 'im_003.dcm').rename(folder / 'sub' / 'im_001.dcm')
    (first,) = predict_to_folder(inferencer, folder, tmp_path / 'out', score_thr=0.3).scans
    for path in (tmp_path / 'aside').iterdir():
        path.rename(folder / path.name)
    predicted.clear()
    (second,) = predict_to_folder(inferencer, folder, tmp_path / 'out', score_thr=0.3, resume=True).scans
    assert sorted(predicted) == ['in/im_002.dcm', 'in/im_004.dcm'] and first.folder == second.folder
    (whole,) = predict_to_folder(inferencer, folder, tmp_path / 'whole', score_thr=0.3).scans
    assert second.summary == whole.summary and second.summary['lesions']['volume_ml'] > 0
    results, expected = strip(tmp_path / 'out'), strip(tmp_path / 'whole')
    for content in (results, expected):  # written in the order of prediction
        content.pop(f'{whole.folder}/journal.jsonl'), content.pop(f'{whole.folder}/rois.jsonl')
    assert results == expected and sum('/overlays/' in name for name in results) == 5
