"""Conversion of class folders to slice lists: patients, groups if they are unknown, bad slices."""

import json

import cv2
import pytest
from conversion_helpers import put_smooth_slice

from mmaffinity.datasets.conversion import (
    LesionOptions,
    PatientTable,
    SplitOptions,
    UnitOptions,
    convert_class_folders,
    convert_image_pairs,
)
from mmaffinity.datasets.slice_dataset import SliceDataset
from mmaffinity.datasets.verification import verify_config
from mmaffinity.datasets.verification.near import Near
from mmaffinity.utils.config import load_config

PARTS = ('train', 'val', 'test')
WHOLE = SplitOptions(val_share=0, test_share=0)


@pytest.fixture
def put(tmp_path):

    def write(name, seed, brightness=1.0):
        put_smooth_slice(tmp_path / 'in' / name, seed, brightness)
        return tmp_path / 'in'

    return write


def read(out, name='slices_train'):
    return json.loads((out / 'annotations' / f'{name}.json').read_text())


def rows_of(out):
    return {part: read(out, f'slices_{part}')['data_list'] for part in PARTS}


def test_lists(put, tmp_path):
    for number in range(3):
        put(f'sick/P1_{number}.png', number)
        root = put(f'healthy/deep/P{number + 2}_0.jpg', number + 10)
    (root / 'healthy/notes.txt').write_text('x')
    out = tmp_path / 'out'
    summary = convert_class_folders(root, out, splits=WHOLE, units=UnitOptions(r'/(P\d+)_'))
    content = read(out)
    assert content['metainfo'] == dict(dataset='class folders', slice_classes=['healthy', 'sick'], source='in')
    assert content['data_list'] == [
        *(
            dict(img_path=f'slices/healthy/deep/P{number}_0.jpg', label=0, patient_id=f'P{number}', scan_id=None)
            for number in (2, 3, 4)
        ),
        *(dict(img_path=f'slices/sick/P1_{number}.png', label=1, patient_id='P1', scan_id=None) for number in range(3)),
    ]
    assert [(row['class'], row['slices'], row['patients']) for row in summary.slices] == [
        ('healthy', 3, 3),
        ('sick', 3, 1),
        ('all', 6, 4),
    ]
    assert summary.warnings == ['1 file of healthy is not used (.txt 1)'] and summary.statistics['num_slices'] == 6
    dataset = SliceDataset(ann_file='annotations/slices_train.json', data_root=str(out), pipeline=[])
    assert cv2.imread(dataset.get_data_info(0)['img_path']).shape == (50, 60, 3)
    convert_class_folders(root, out, ['sick', 'healthy'], WHOLE, overwrite=True, copy=True)
    assert read(out)['metainfo']['slice_classes'] == ['sick', 'healthy'] and not (out / 'slices').is_symlink()
    assert [row['label'] for row in read(out)['data_list']] == [0] * 3 + [1] * 3
    assert len(list((out / 'slices').rglob('*_*.*'))) == 6 and (root / 'sick/P1_0.png').exists()


def test_similar_slices_of_unknown_patients_stay_together(put, tmp_path):
    for number in range(30):
        root = put(f'{"ab"[number % 2]}/{number:02d}.png', number // 4 * 2 + number % 2, 0.7 + number % 4 / 10)
    out = tmp_path / 'out'
    summary = convert_class_folders(root, out, splits=SplitOptions(0.2, 0.3, folds=2))
    rows = rows_of(out)
    assert {row['patient_id'] for part in rows.values() for row in part} == {None}  # no patient is invented
    for row in (row for part in rows.values() for row in part):
        name, number = row['img_path'].removeprefix('slices/'), int(row['img_path'][-6:-4])
        assert row['group'] == (name if number % 4 < 2 else f'{name[0]}/{number - 2:02d}.png')
    groups = [{row['group'] for row in part} for part in rows.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 16 and min(map(len, groups)) >= 2
    assert all({row['label'] for row in part} == {0, 1} for part in rows.values())
    for fold in range(2):
        train, test = (
            {row['group'] for row in read(out, f'fold_{fold}/slices_{part}')['data_list']} for part in ('train', 'test')
        )
        assert len(train) == len(test) == 8 and not train & test
    (warning,) = summary.warnings
    assert warning.startswith('patients are unknown: ') and '(30 slices in 16 groups, the largest with 2)' in warning
    assert 'unknown' in summary.table()


def test_similarity_threshold_determines_groups(put, tmp_path):
    for number in range(6):
        root = put(f'{"ab"[number % 2]}/{number}.png', number // 4 * 2 + number % 2, 0.7 + number % 4 / 10)
    strict = UnitOptions(near=Near(0, 1.0))
    summary = convert_class_folders(root, tmp_path / 'out', splits=WHOLE, units=strict)
    assert '(6 slices in 6 groups, the largest with 1)' in summary.warnings[0]


def test_groups_and_patients_of_several_classes_are_reported_and_kept_whole(put, tmp_path):
    for number in range(6):
        put(f'a/P{number}_1.png', number)
        root = put(f'b/P{number + 5}_1.png', number + 5)
    summary = convert_class_folders(root, tmp_path / 'out', splits=SplitOptions(0.2, 0.2))
    assert summary.warnings[1] == (
        '1 group has slices of several classes (a/P5_1.png): near-identical slices have different labels'
    )
    parts = [part for part, rows in rows_of(tmp_path / 'out').items() for row in rows if row['group'] == 'a/P5_1.png']
    assert len(parts) == 2 and len(set(parts)) == 1
    summary = convert_class_folders(root, tmp_path / 'known', splits=SplitOptions(0.2, 0.2), units=UnitOptions(r'(P\d+)'))
    assert summary.warnings == ['1 patient has slices of several classes (P5)']
    patients = [{row['patient_id'] for row in rows} for rows in rows_of(tmp_path / 'known').values()]
    assert sum(map(len, patients)) == len(set().union(*patients)) == 11


def test_unreadable_slice_does_not_stop_the_others(put, tmp_path):
    for number in range(4):
        root = put(f'{"ab"[number % 2]}/{number}.png', number)
    (root / 'a/2.png').write_bytes((root / 'a/2.png').read_bytes()[:100])
    (tmp_path / 'table.csv').write_text('name,who\na/0.png,P0\nb/1.png,P1\n')
    units = UnitOptions(patients=PatientTable(str(tmp_path / 'table.csv'), 'name', 'who'))
    summary = convert_class_folders(root, tmp_path / 'out', splits=WHOLE, units=units)
    assert [row['patient_id'] for row in read(tmp_path / 'out')['data_list']] == ['P0', 'P1']
    assert summary.problems[0].startswith(f'{root}/a/2.png is a truncated PNG')
    assert summary.problems[1] == f'1 slice without a patient in {tmp_path / "table.csv"} (b/3.png)'
    assert json.loads((tmp_path / 'out/annotations/conversion.json').read_text())['left_out'] == summary.problems


def test_no_usable_slice_is_an_error(put, tmp_path):
    for name in ('a/0.png', 'b/1.png'):
        root = put(name, 0)
        (root / name).write_bytes(b'')
    with pytest.raises(ValueError, match=r'no usable slices \(of 2 slices\): .*a/0.png is empty'):
        convert_class_folders(root, tmp_path / 'out', splits=WHOLE)
    assert not (tmp_path / 'out').exists()


def test_invalid_arguments(put, tmp_path):
    root = put('a/0.png', 0)
    with pytest.raises(ValueError, match='in contains 1 folder; it must contain one folder of slices per class'):
        convert_class_folders(root, tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='the folder .*nowhere does not exist'):
        convert_class_folders(tmp_path / 'nowhere', tmp_path / 'out')
    put('b/1.png', 1)
    with pytest.raises(FileNotFoundError, match=r'no such folder of slices: .*/c \(there are a, b\)'):
        convert_class_folders(root, tmp_path / 'out', ['a', 'c'])
    with pytest.raises(ValueError, match='is inside the slice folder'):
        convert_class_folders(root, root / 'out')
    with pytest.raises(ValueError, match='2 patients are too few for train, val, test'):
        convert_class_folders(root, tmp_path / 'out')
    with pytest.raises(ValueError, match='matches no patient in a/0.png'):
        convert_class_folders(root, tmp_path / 'out', units=UnitOptions('(P)'))
    with pytest.raises(ValueError, match='radius of near-identical slices is 16 bits'):
        Near(16)
    assert not (tmp_path / 'out').exists()


def test_the_public_config_reads_the_phantom_from_folders(tiny_phantom, tmp_path, monkeypatch):
    root = tiny_phantom / 'cncb_ncov'
    splits = SplitOptions(0.25, 0.25)
    convert_class_folders(root, tmp_path / 'classes', ['Normal', 'NCP'], splits, UnitOptions('^([^/]+/[^/]+)/'))
    convert_image_pairs(
        root / 'ct_lesion_seg/image',
        root / 'ct_lesion_seg/mask',
        tmp_path / 'pairs',
        LesionOptions([2, 3], min_area=10),
        splits,
        UnitOptions('^([^/]+)/'),
    )
    monkeypatch.setenv('CLASS_FOLDERS_ROOT', str(tmp_path / 'classes'))
    monkeypatch.setenv('IMAGE_PAIRS_ROOT', str(tmp_path / 'pairs'))
    report = verify_config(load_config('public/affinity_c8_folders'), cache=None, workers=0)
    assert report.passed and not report.findings, [finding.message for finding in report.findings]
    assert [part['split'] for part in report.datasets] == ['train', 'train', 'val', 'test', 'test']


def test_real_slices_without_patients(shared_dir, tmp_path):
    """The first 150 slices of each class of SARS-COV-2 CT-Scan contain near-duplicates, but no pair is in two splits."""
    for name in ('covid', 'non_covid'):
        (tmp_path / 'in' / name).mkdir(parents=True)
        for path in sorted((shared_dir / 'data/sars_cov2_ct' / name).iterdir())[:150]:
            (tmp_path / 'in' / name / path.name).symlink_to(path)
    summary = convert_class_folders(tmp_path / 'in', tmp_path / 'out', ['non_covid', 'covid'])
    rows = rows_of(tmp_path / 'out')
    groups = [{row['group'] for row in part} for part in rows.values()]
    assert sum(map(len, rows.values())) == 300 and sum(map(len, groups)) == len(set().union(*groups)) < 300
    assert not any('several classes' in warning for warning in summary.warnings)
