"""Prediction of scans into a folder."""

import csv
import json
import os
import re
import zipfile

import numpy as np
import pytest
from scan_helpers import (
    chest,
    chest_volume,
    dicom_slice,
    save_dicom,
    write_images,
    write_nifti,
    write_series,
)

from mmaffinity.apis.prediction import predict_to_folder


def read(path):
    return json.loads(path.read_text())


def snapshot(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob('*')}


def test_all_outputs_are_written(tmp_path, mixed, inferencer):
    pytest.importorskip('highdicom')
    before = snapshot(tmp_path)
    steps = []
    report = predict_to_folder(
        inferencer, mixed, tmp_path / 'out', score_thr=0.3, dicom_seg=True, progress=lambda *step: steps.append(step)
    )
    assert [step[:2] for step in steps] == [(index, 9) for index in range(1, 10)]
    assert {path.split('/')[0] for path in snapshot(tmp_path) - before} == {'out'}
    (series,) = (scan.folder for scan in report.scans if scan.folder.startswith('in_series_'))
    assert sorted(scan.folder for scan in report.scans) == ['in_png', series, 'in_v.nii.gz'] and not report.problems
    files = {scan.folder: {path.name for path in (tmp_path / 'out' / scan.folder).iterdir()} for scan in report.scans}
    common = {
        'journal.jsonl',
        'rois.jsonl',
        'result.json',
        'prediction.json',
        'slices.csv',
        'lesions.json',
        'overlays',
        'index.html',
    }
    assert files == {
        'in_png': common,
        'in_v.nii.gz': common | {'lesions.nii.gz'},
        series: common | {'lesions.nii.gz', 'lesions.dcm', 'measurements.dcm'},
    }
    content = read(tmp_path / 'out' / series / 'prediction.json')
    assert content['schema'] == 1 and content['model']['checkpoint_sha256'] and content['versions']['mmdet']
    assert content['scan']['kind'] == 'dicom' and content['settings']['window_level'] == -600
    assert [item['position_mm'] for item in content['slices']] == [-300, -295, -290]
    summary = content['summary']
    assert summary['num_slices'] == 3 and sum(summary['share_of_slices'].values()) == pytest.approx(1)
    for name, mean in summary['mean_probability'].items():
        assert mean == pytest.approx(np.mean([item['probabilities'][name] for item in content['slices']]))
    areas = [item['lesion_area_mm2'] for item in content['slices']]
    assert summary['lesions']['volume_ml'] == pytest.approx(sum(areas) * 5 / 1000)
    assert summary['most_affected_slice']['index'] == int(np.argmax(areas)) and summary['lesions']['share_of_lung']
    with open(tmp_path / 'out' / series / 'slices.csv', newline='') as file:
        assert [float(row['lesion_area_mm2']) for row in csv.DictReader(file)] == pytest.approx(areas, rel=1e-4)
    import nibabel

    mask, source = nibabel.load(tmp_path / 'out' / 'in_v.nii.gz' / 'lesions.nii.gz'), nibabel.load(mixed / 'v.nii.gz')
    assert mask.shape == source.shape and np.array_equal(mask.affine, source.affine)
    voxels = float(np.asarray(mask.dataobj).sum()) * 0.7 * 0.8 * 5 / 1000
    nifti = next(scan for scan in report.scans if scan.folder == 'in_v.nii.gz')
    assert voxels == pytest.approx(nifti.summary['lesions']['volume_ml'], rel=1e-5)
    # Nothing that identifies the patient leaves the DICOM headers, except in DICOM-SEG, which must contain it.
    for path in (tmp_path / 'out').rglob('*.*'):
        if path.is_file() and path.suffix != '.dcm':
            assert b'Secret' not in path.read_bytes() and b'secret-id' not in path.read_bytes()


def test_every_output_field_is_documented(tmp_path, repo_root, inferencer):
    pytest.importorskip('pydicom')
    folder = write_series(tmp_path / 'in', 2)
    (scan,) = predict_to_folder(inferencer, folder, tmp_path / 'out', score_thr=0.3).scans
    content = read(tmp_path / 'out' / scan.folder / 'prediction.json')
    text = (repo_root / 'docs' / 'prediction.md').read_text()
    described = dict(row.strip('| ').split(' | ', 1) for row in text.splitlines() if row.startswith('| `'))
    rows = {name: set(re.findall('`([^`]+)`', rest)) for name, rest in described.items()}
    named = {name for names in described for name in re.findall('`([^`]+)`', names)}
    assert {name for name in content if name not in ('summary', 'slices', 'not_predicted')} <= named
    assert set(content['scan']) <= rows['`scan`'] and set(content['settings']) == rows['`settings`']
    assert set(content['model']) == rows['`model`']
    assert {f'summary.{name}' for name in content['summary']} <= named
    assert set(content['summary']['lesions']) <= rows['`summary.lesions`']
    assert set(content['summary']['most_affected_slice']) == rows['`summary.most_affected_slice`']
    assert set(content['summary']['lesions']['share_of_lung']) == rows['`summary.lesions.share_of_lung`']
    record = content['slices'][0]
    assert set(record) <= named | {'lesions'} and set(record['lesions'][0]) <= rows['`lesions[]`']


def test_scans_with_equal_names_stay_separate(tmp_path, inferencer):
    first, second = write_images(tmp_path / 'a' / 'scan', 1), write_images(tmp_path / 'b' / 'scan', 2)
    for resume in (False, True):
        report = predict_to_folder(inferencer, [first, second], tmp_path / 'out', resume=resume)
        folders = [scan.folder for scan in report.scans]
        assert len(set(folders)) == 2 and [scan.num_predicted for scan in report.scans] == [1, 2]
    # In the opposite order, each scan still finds its own folder.
    report = predict_to_folder(inferencer, [second, first], tmp_path / 'out', resume=True)
    assert [scan.num_predicted for scan in report.scans] == [2, 1]
    assert sum(path.is_dir() for path in (tmp_path / 'out').iterdir()) == 2


def test_hostile_files_do_not_stop_the_run(tmp_path, inferencer):
    """Good slices among bad files: the run continues, each file has a reason, and nothing is written elsewhere."""
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    root = write_images(tmp_path / 'in', 2)
    write_series(root / 'dcm', 3)
    cut = root / 'dcm' / 'im_002.dcm'
    cut.write_bytes(cut.read_bytes()[:-3000])
    save_dicom(root / 'mr.dcm', dicom_slice(chest().astype(np.int16), series='mr', Modality='MR'))
    save_dicom(root / 'huge.dcm', dicom_slice(chest().astype(np.int16), series='huge', Rows=65000, Columns=65000))
    save_dicom(root / 'evil_uid.dcm', dicom_slice(chest().astype(np.int16), series='uid'))
    volume = chest_volume(2).astype(np.float32)
    volume[..., 1], volume[0, 0, 0] = np.nan, np.inf
    write_nifti(root / 'nan.nii.gz', volume)
    nifti = bytearray((write_nifti(root / 'huge.nii', chest_volume())).read_bytes())
    nifti[40:56] = np.array([3, 32767, 32767, 32767, 1, 1, 1, 1], '<i2').tobytes()
    (root / 'huge.nii').write_bytes(nifti)
    with zipfile.ZipFile(root / 'bomb.zip', 'w') as file:
        file.writestr('../../../escaped.txt', 'x')
    (root / '..hidden.png').write_bytes(b'\xff\xd8\xff\xe0')
    (root / '..\\..\\escape.png').write_bytes((root / 'slice_0.png').read_bytes())
    (root / 'out_link').symlink_to(tmp_path)
    (root / 'passwd.png').symlink_to('/etc/passwd')
    for index in range(300):
        (root / f'empty_{index}.dcm').touch()
    before = snapshot(tmp_path)
    report = predict_to_folder(inferencer, root, tmp_path / 'out', overlays='all')
    assert {path.split('/')[0] for path in snapshot(tmp_path) - before} == {'out'}
    reasons = {problem.source: problem.reason for problem in report.problems}
    assert sum('empty' in reason for reason in reasons.values()) == 300
    for source, words in (
        ('in/dcm/im_002.dcm', 'truncated'),
        ('in/mr.dcm', 'modality MR'),
        ('in/huge.dcm', '65000 x 65000 pixels, too large'),
        ('in/nan.nii.gz#1', 'no finite value'),
        ('in/huge.nii', 'claims the shape'),
        ('in/bomb.zip', 'zip archive'),
        ('in/..hidden.png', 'truncated JPEG'),
        ('in/out_link', 'link to a path outside'),
        ('in/passwd.png', 'link to a path outside'),
    ):
        assert words in reasons[source], source
    assert len(reasons) == 309
    written = read(tmp_path / 'out' / 'report.json')
    assert {item['source']: item['reason'] for item in written['not_predicted']} == reasons
    assert sum(scan['num_predicted'] for scan in written['scans']) == 3 + 2 + 1 + 1
    for path in (tmp_path / 'out').rglob('*'):
        assert (tmp_path / 'out') in path.resolve().parents and '..' not in path.name


def test_missing_input_is_reported_before_anything_is_written(tmp_path, inferencer):
    (tmp_path / 'in' / 'empty').mkdir(parents=True)
    with pytest.raises(ValueError, match=r'there is nothing to predict: no file in \S*/in$'):
        predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match=r'no such file or folder: \S*/absent, \S*/gone\.png$'):
        predict_to_folder(inferencer, [tmp_path / 'absent', tmp_path / 'in', tmp_path / 'gone.png'], tmp_path / 'out')
    with pytest.raises(ValueError, match='there is nothing to predict: no input was given'):
        predict_to_folder(inferencer, [], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_implausible_values_are_noted_for_the_scan(tmp_path, inferencer):
    """Signed pixels whose rescale tags lack the offset: no slice shows air."""
    pytest.importorskip('pydicom')
    for index in range(3):
        pixels = chest(index).astype(np.int16) + (1024 if index else 0)
        save_dicom(tmp_path / 'in' / f'{index}.dcm', dicom_slice(pixels, index))
    (scan,) = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out').scans
    content = read(tmp_path / 'out' / scan.folder / 'prediction.json')
    (note,) = content['scan']['notes']
    assert note.startswith('warning: HU look implausible: values from 24') and '(2 of 3 slices; this is in/1.dcm)' in note
    assert scan.notes == content['scan']['notes'] == read(tmp_path / 'out/report.json')['scans'][0]['notes']
    assert [any('HU look implausible: values from 24' in note for note in item['notes']) for item in content['slices']] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize('wrong', [dict(score_thr=1.5), dict(overlays='some')])
def test_invalid_arguments(tmp_path, inferencer, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        predict_to_folder(inferencer, tmp_path, tmp_path / 'out', **wrong)


def test_dicom_seg_without_highdicom_names_the_extra(tmp_path, inferencer, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'highdicom', None)
    with pytest.raises(ValueError, match=r'highdicom.*mmaffinity\[medical\]'):
        predict_to_folder(inferencer, tmp_path, tmp_path / 'out', dicom_seg=True)


def test_run_continues_without_pydicom(tmp_path, mixed, inferencer, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'pydicom', None)
    report = predict_to_folder(inferencer, mixed, tmp_path / 'out')
    assert len(report.problems) == 3 and all('mmaffinity[medical]' in item.reason for item in report.problems)
    assert sum(scan.num_predicted for scan in report.scans) == 6


def test_output_folder_inside_the_input(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 1)
    for resume in (False, True):
        report = predict_to_folder(inferencer, folder, folder / 'out', resume=resume)
        assert len(report.scans) == 1 and not report.problems
    assert os.path.isdir(folder / 'out' / 'in' / 'overlays')
