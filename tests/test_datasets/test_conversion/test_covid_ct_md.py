"""Conversion of DICOM folders and slice labels to slice lists: order, classes, complete results, bad patients."""

import json

import cv2
import numpy as np
import pytest
from conversion_helpers import NUMBER, put_labels, write_covid_ct_md
from scan_helpers import SIZE, chest, dicom_slice, save_dicom, to_grey, write_series

from mmaffinity.datasets.conversion import CtMdOptions, SplitOptions, convert_covid_ct_md
from mmaffinity.datasets.slice_dataset import SliceDataset
from mmaffinity.scans import Problem, find_scans

WHOLE = SplitOptions(val_share=0, test_share=0)


@pytest.fixture
def root(tmp_path):
    return write_covid_ct_md(tmp_path / 'raw')


def read(out, name='slices_train'):
    return json.loads((out / 'annotations' / f'{name}.json').read_text())


def rows(out, patient, name='slices_train'):
    return [
        (row['img_path'].rpartition('/')[2], row['label'])
        for row in read(out, name)['data_list']
        if row['patient_id'] == patient
    ]


def test_slices_with_infection_have_the_class_of_their_patient(root, tmp_path):
    out = tmp_path / 'out'
    summary = convert_covid_ct_md(root, out, splits=WHOLE)
    assert read(out)['metainfo'] == dict(
        dataset='COVID-CT-MD', slice_classes=['Normal', 'CP', 'COVID-19'], source='Slice-level-labels.npy'
    )
    assert rows(out, 'P001') == [('0001.png', 2), ('0002.png', 2)]
    assert rows(out, 'cap001') == [('0000.png', 1)]
    assert rows(out, 'normal001') == [(f'000{number}.png', 0) for number in range(NUMBER)]
    assert not summary.problems
    assert 'left out: 1 patient without slice labels (P009)' in summary.warnings
    assert summary.statistics['num_slices'] == 8
    dataset = SliceDataset(ann_file='annotations/slices_train.json', data_root=str(out), pipeline=[])
    assert len(dataset) == 8 and dataset.get_data_info(7)['patient_id'] == 'P001'


def test_numbers_count_from_the_head(root, tmp_path):
    """write_series places slice ``index`` at 5 index - 300 mm: the last one is nearest the head, whatever its file's name."""
    convert_covid_ct_md(root, tmp_path / 'out', splits=WHOLE)
    for number in range(NUMBER):
        grey = cv2.imread(str(tmp_path / f'out/slices/normal001/000{number}.png'), cv2.IMREAD_UNCHANGED)
        assert grey.dtype == np.uint8 and np.array_equal(grey, to_grey(chest(NUMBER - 1 - number)))
    (scan,) = find_scans(root / 'Normal Cases')
    for number, item in zip(range(NUMBER - 1, -1, -1), scan.read(), strict=True):  # prediction counts from the feet
        grey = cv2.imread(str(tmp_path / f'out/slices/normal001/000{number}.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(grey, item.grey)


def test_every_and_slices_without_infection(root, tmp_path):
    convert_covid_ct_md(root, tmp_path / 'a', CtMdOptions(every=2, clear_as_normal=True), WHOLE)
    assert rows(tmp_path / 'a', 'P001') == [('0000.png', 0), ('0002.png', 2), ('0004.png', 0)]
    assert rows(tmp_path / 'a', 'normal001') == [('0000.png', 0), ('0002.png', 0), ('0004.png', 0)]


def test_only_slices_without_infection_require_lungs(root, tmp_path):
    body = np.full((SIZE, SIZE), -1000, np.int16)
    body[16:48, 8:56] = 40
    for place, patient in ((0, 'Normal Cases/normal001'), (3, 'COVID-19 Cases/P001')):
        name = patient.rpartition('/')[2]
        save_dicom(root / patient / f'im_{NUMBER - place:03d}.dcm', dicom_slice(body, place, series=name))
    put_labels(root, dict(P001=(1, 2), cap001=()))
    summary = convert_covid_ct_md(root, tmp_path / 'out', CtMdOptions(only_lungs=True), WHOLE)
    assert rows(tmp_path / 'out', 'normal001') == [(f'000{number}.png', 0) for number in range(NUMBER - 1)]
    assert rows(tmp_path / 'out', 'P001') == [('0001.png', 2), ('0002.png', 2)]  # 0001 shows none, but is labelled
    assert 'left out: 1 slice without lungs' in summary.warnings


def test_bad_patient_does_not_stop_the_others(root, tmp_path):
    covid = root / 'COVID-19 Cases'
    for name in ('P002', 'P003', 'P004', 'P005', 'P006'):
        write_series(covid / name, NUMBER, series=name)
    (covid / 'P002' / 'im_002.dcm').write_bytes(b'no DICOM')
    write_series(covid / 'P003' / 'again', NUMBER, series='another')
    for path in (covid / 'P005').iterdir():
        path.unlink()
    for path in sorted((covid / 'P006').iterdir()):
        number = int(path.stem[-3:])
        save_dicom(path, dicom_slice(chest(number).astype(np.int16), number, series='P006', ImagePositionPatient=None))
    write_series(root / 'Normal Cases' / 'normal002', NUMBER, series='normal002')
    (root / 'Normal Cases' / 'normal002' / 'im_001.dcm').write_bytes(b'no DICOM')
    put_labels(root, dict(P001=(1,), P002=(1,), P003=(1,), P004=(NUMBER,), P005=(1,), P006=(1,), cap001=(0,), cap002=(0,)))
    summary = convert_covid_ct_md(root, tmp_path / 'out', splits=WHOLE)
    assert {row['patient_id'] for row in read(tmp_path / 'out')['data_list']} == {'P001', 'cap001', 'normal001', 'normal002'}
    expected = (
        'P002: labels are matched to slices by order, but 1 file cannot be used: P002/im_002.dcm',
        'P003 contains 2 scans',
        'P004 has 5 slices, but its labels mark slice 6',
        'P005 contains no scan',
        'P006: labels are matched to slices by order, but the slices have no positions',
    )
    assert len(summary.problems) == len(expected)
    for problem, part in zip(summary.problems, expected, strict=True):
        assert part in problem
    assert any('Index.csv lists 1 patient whose folder does not exist (cap002)' in text for text in summary.warnings)
    # A normal patient's slices have one label, in whatever order: the others are used.
    assert any(text.startswith('1 file is not used: normal002/im_001.dcm') for text in summary.warnings)
    assert len(rows(tmp_path / 'out', 'normal002')) == NUMBER - 1


def test_labels_narrower_than_a_scan(root, tmp_path):
    write_series(root / 'COVID-19 Cases' / 'P001', 14, series='P001')
    summary = convert_covid_ct_md(root, tmp_path / 'out', CtMdOptions(clear_as_normal=True), WHOLE)
    assert [name for name, _ in rows(tmp_path / 'out', 'P001')] == [f'{number:04d}.png' for number in range(12)]
    assert any(text.startswith('only the first 12 of 14 slices have labels') for text in summary.warnings)


def test_classes_are_split_by_patient(root, tmp_path):
    labels = {}
    for folder, stem in (('COVID-19 Cases', 'Q'), ('Cap Cases', 'cap1'), ('Normal Cases', 'normal1')):
        for number in range(4):
            write_series(root / folder / f'{stem}{number}', 2, series=f'{stem}{number}')
            if stem != 'normal1':
                labels[f'{stem}{number}'] = (0, 1)
    put_labels(root, labels)
    summary = convert_covid_ct_md(root, tmp_path / 'out', splits=SplitOptions(0.2, 0.2, folds=2))
    for name in ('slices_val', 'slices_test'):
        content = read(tmp_path / 'out', name)['data_list']
        assert {row['label'] for row in content} == {0, 1, 2} and len({row['patient_id'] for row in content}) == 3
    owners = [{row['patient_id'] for row in read(tmp_path / 'out', f'fold_{fold}/slices_test')['data_list']} for fold in (0, 1)]
    assert not owners[0] & owners[1] and len(owners[0] | owners[1]) == 13
    assert {row['split'] for row in summary.slices} >= {'slices_train', 'fold_1/slices_test'}


def test_sample_of_the_repository_has_other_folder_names(root, tmp_path):
    for old, new in (('COVID-19 Cases', 'COVID-19 subjects'), ('Cap Cases', 'CAP')):
        (root / old).rename(root / new)
    (root / 'Normal Cases').rename(tmp_path / 'elsewhere')
    summary = convert_covid_ct_md(root, tmp_path / 'out', splits=WHOLE)
    assert f'{root} has no folder of Normal' in summary.warnings and rows(tmp_path / 'out', 'cap001') == [('0000.png', 1)]


def test_invalid_arguments(root, tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(FileNotFoundError, match='the data root .*nowhere is not a folder; choose the folder that contains'):
        convert_covid_ct_md(tmp_path / 'nowhere', out)
    with pytest.raises(FileNotFoundError, match='contains none of the class folders'):
        convert_covid_ct_md(root / 'Cap Cases', out)
    with pytest.raises(ValueError, match='every=0 must be at least 1'):
        CtMdOptions(every=0)
    (root / 'cap').mkdir()
    with pytest.raises(ValueError, match='are folders of the same class'):
        convert_covid_ct_md(root, out)
    (root / 'cap').rmdir()
    (root / 'Index.csv').unlink()
    with pytest.raises(FileNotFoundError, match='Index.csv is not in'):
        convert_covid_ct_md(root, out)
    assert not out.exists()


def test_duplicate_patient_names_are_rejected(root, tmp_path):
    (root / 'Normal Cases/normal001').rename(root / 'Normal Cases/cap001')
    with pytest.raises(ValueError, match='cap001 and .*cap001 are patients with the same name'):
        convert_covid_ct_md(root, tmp_path / 'out', splits=WHOLE)


def test_slice_with_unreadable_pixels_is_omitted(root, tmp_path, monkeypatch):
    from mmaffinity.scans.dicom_scan import DicomScan

    original = DicomScan.read

    def read_with_a_problem(self, done=()):
        for item in original(self, done):
            yield Problem(item.name, 'is damaged', item.key) if item.index == 2 and 'normal' in self.info.source else item

    monkeypatch.setattr(DicomScan, 'read', read_with_a_problem)
    summary = convert_covid_ct_md(root, tmp_path / 'out', splits=WHOLE)
    assert [name for name, _ in rows(tmp_path / 'out', 'normal001')] == ['0000.png', '0001.png', '0003.png', '0004.png']
    assert any(text.startswith('1 file is not used') and 'is damaged' in text for text in summary.warnings)


def test_real_series(shared_dir, tmp_path):
    """66 slices of cap002, of which the first in the list of labels is the head; the series is JPEG Lossless."""
    pytest.importorskip('libjpeg', reason='pylibjpeg-libjpeg decodes JPEG Lossless')
    root = tmp_path / 'raw'
    (root / 'Cap Cases').mkdir(parents=True)
    (root / 'Cap Cases' / 'cap002').symlink_to(shared_dir / 'data' / 'ct_dicom')
    put_labels(root, dict(cap002=(0, 10)))
    convert_covid_ct_md(root, tmp_path / 'out', splits=WHOLE)
    assert rows(tmp_path / 'out', 'cap002') == [('0000.png', 1), ('0010.png', 1)]
    (scan,) = find_scans(shared_dir / 'data' / 'ct_dicom')
    items = list(scan.read())
    assert items[-1].position > items[0].position  # the head is last
    for number in (0, 10):
        grey = cv2.imread(str(tmp_path / f'out/slices/cap002/{number:04d}.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(grey, items[len(items) - 1 - number].grey)
