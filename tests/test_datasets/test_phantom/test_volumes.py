"""The phantom's volumes, NIfTI pairs and COVID-CT-MD, through converters and configs."""

import gzip
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from phantom_helpers import FEW

from mmaffinity.datasets.conversion import (
    CtMdOptions,
    PairOptions,
    SplitOptions,
    convert_covid_ct_md,
    convert_nifti_pairs,
)
from mmaffinity.datasets.conversion.ct_md_labels import read_slice_labels
from mmaffinity.datasets.phantom.patient import make_patient
from mmaffinity.datasets.phantom.slices import draw_hounsfield, draw_slice
from mmaffinity.datasets.phantom.volumes import FIRST_PATIENT, LEVELS, SCANNER, draw_volume
from mmaffinity.datasets.phantom.writer import write_phantom
from mmaffinity.datasets.verification import verify_config
from mmaffinity.scans import find_scans
from mmaffinity.utils.config import load_config

SMALL = dict(
    seed=3,
    size=96,
    slices_per_patient=3,
    **FEW,
)


@pytest.fixture(scope='module')
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp('volumes') / 'phantom'
    return folder, write_phantom(folder, nifti_pairs=5, covid_ct_md=5, **SMALL)


@pytest.fixture(scope='module')
def converted(phantom):
    """Both data sets, converted."""
    folder, _ = phantom
    pairs = folder / 'nifti_pairs'
    convert_nifti_pairs(pairs / 'images', pairs / 'Lung_and_Infection_Mask', folder / 'pairs', PairOptions([3], min_area=10))
    convert_covid_ct_md(folder / 'covid_ct_md', folder / 'ct_md', CtMdOptions(only_lungs=True), SplitOptions(0.2, 0.2))
    return folder


def test_hounsfield_units_match_the_grey_levels():
    patient = make_patient(0, 1, 2)
    hu, mask = draw_hounsfield(patient, 0.5, 128)
    grey, same = draw_slice(patient, 0.5, 128)
    assert np.array_equal(mask, same) and np.abs(np.interp(hu, [-1350, 150], [0, 255]) - grey).max() < 0.501


def test_volumes_are_read_as_drawn(phantom):
    """In both stored orientations, counted from the feet and upright as in prediction."""
    folder, _ = phantom
    scans = list(find_scans(folder / 'nifti_pairs' / 'images'))
    assert len(scans) == 5
    for number, scan in enumerate(scans[:2]):
        hu, _ = draw_volume(make_patient(3, FIRST_PATIENT + number, 2), 96)
        scan.check()  # they are Hounsfield units
        slices = sorted(scan.read(), key=lambda item: -item.position)
        for drawn, item in zip(hu, slices, strict=True):
            assert np.abs(np.interp(drawn, [-1350, 150], [0, 255]) - item.grey).max() < 0.501
    assert scans[0].view != scans[1].view


def test_lesions_of_pairs(converted):
    for name in ('train', 'val', 'test'):
        coco = json.loads((converted / 'pairs' / 'annotations' / f'lesions_{name}.json').read_text())
        for image in coco['images']:
            drawn = draw_volume(make_patient(3, FIRST_PATIENT + int(image['scan_id'][-3:]) - 1, 2), 96)[1] > 1
            number = int(image['file_name'][-8:-4])  # every second volume is stored from the head, the others from the feet
            mask = drawn[number if int(image['scan_id'][-3:]) % 2 == 0 else len(LEVELS) - 1 - number]
            areas = [annotation['area'] for annotation in coco['annotations'] if annotation['image_id'] == image['id']]
            assert 0 < sum(areas) <= mask.sum() and mask.sum() - sum(areas) <= 10 * 8


def test_labels_of_series(converted):
    labels = read_slice_labels(converted / 'covid_ct_md' / 'Index.csv', converted / 'covid_ct_md' / 'Slice-level-labels.npy')
    assert list(labels) == ['P001', 'P002', 'P004', 'P005', 'cap001', 'cap002', 'cap004', 'cap005']
    listed = [
        row
        for name in ('train', 'val', 'test')
        for row in json.loads((converted / 'ct_md' / 'annotations' / f'slices_{name}.json').read_text())['data_list']
    ]
    assert {row['label'] for row in listed} == {0, 1, 2}
    for patient, label in (('P002', 2), ('cap004', 1)):
        key = FIRST_PATIENT * (label + 2) + int(patient[-3:]) - 1
        hu, mask = draw_volume(make_patient(3, key, label), 96)
        infected = (mask > 1).any(axis=(1, 2))
        assert labels[patient].tolist() == [*infected.tolist(), False, False, False]
        rows = [row for row in listed if row['patient_id'] == patient]
        assert [int(row['img_path'][-8:-4]) for row in rows] == np.flatnonzero(infected).tolist()
        for row in rows:
            grey = cv2.imread(str(converted / 'ct_md' / row['img_path']), cv2.IMREAD_UNCHANGED)
            drawn = np.interp(hu[int(row['img_path'][-8:-4])], [-1350, 150], [0, 255])
            assert row['label'] == label and np.abs(drawn - grey).max() < 0.501


def test_public_configs_pass_verification(converted, monkeypatch):
    monkeypatch.setenv('NIFTI_PAIRS_ROOT', str(converted / 'pairs'))
    monkeypatch.setenv('COVID_CT_MD_ROOT', str(converted / 'ct_md'))
    for name in ('public/mask_rcnn_nifti_pairs', 'public/affinity_c8_nifti_pairs_covid_ct_md'):
        report = verify_config(load_config(name), cache=None, workers=1)
        assert report.passed and not report.findings, [finding.message for finding in report.findings]
    assert [(part['split'], Path(part['ann_file']).name) for part in report.datasets] == [
        ('train', 'lesions_train.json'),
        ('train', 'slices_train.json'),
        ('val', 'slices_val.json'),
        ('test', 'lesions_test.json'),
        ('test', 'slices_test.json'),
    ]


def test_phantom_is_reproducible_and_other_counts_need_overwrite(phantom, tmp_path):
    folder, summary = phantom
    write_phantom(tmp_path / 'again', nifti_pairs=1, covid_ct_md=1, **SMALL)
    for path in (tmp_path / 'again').rglob('*.nii.gz'):
        again = folder / path.relative_to(tmp_path / 'again')
        assert gzip.decompress(path.read_bytes()) == gzip.decompress(again.read_bytes())
    series = sorted((tmp_path / 'again').rglob('*.dcm'))
    assert len(series) == 3 * len(LEVELS)
    for path in series:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path / 'again')).read_bytes()
    kept = write_phantom(tmp_path / 'again', nifti_pairs=1, covid_ct_md=1, **SMALL)
    assert kept.written == 0
    with pytest.raises(ValueError, match='other settings.*covid_ct_md 1 -> 0, nifti_pairs 1 -> 0'):
        write_phantom(tmp_path / 'again', **SMALL)
    write_phantom(tmp_path / 'again', overwrite=True, **SMALL)
    assert sorted(path.name for path in (tmp_path / 'again').iterdir()) == ['cncb_ncov', 'ictcf', 'phantom.json']


def test_phantom_of_an_earlier_version_is_recognised(tmp_path):
    write_phantom(tmp_path, **SMALL)
    marker = json.loads((tmp_path / 'phantom.json').read_text())
    for name in ('nifti_pairs', 'covid_ct_md'):
        del marker['settings'][name]
    (tmp_path / 'phantom.json').write_text(json.dumps(marker))
    assert write_phantom(tmp_path, **SMALL).written == 0


def test_scanner_shows_air_around_the_body():
    hu, _ = draw_hounsfield(make_patient(0, 2, 0), 0.5, 96, SCANNER)
    assert hu[0, 0] < -900 and hu.min() > -1250
