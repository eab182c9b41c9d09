"""The phantom's files: reproducible bytes, real layouts and lists."""

import csv
import hashlib
import json
import os
import re
import shutil
from collections import defaultdict

import cv2
import numpy as np
import pytest
from phantom_helpers import FEW
from scipy import ndimage

from mmaffinity.datasets.phantom import (
    LISTS,
    SLICE_CLASSES,
    PhantomSettings,
    plan_phantom,
    write_phantom,
)

SMALL = dict(
    seed=3,
    size=96,
    slices_per_patient=3,
    lesions_train=12,
    lesions_test=7,
    slices_train=20,
    slices_selected=12,
    slices_val=6,
    slices_test=9,
    ictcf_train=7,
    ictcf_test=8,
)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'phantom'
    return folder, write_phantom(folder, **SMALL)


def rows(folder, split):
    text = (folder / LISTS[split]).read_text()
    assert text.endswith('\n') and not text.endswith('\n\n')
    return text.splitlines()


def classification_file(folder, name):
    group, patient, scan, file = name.split('_')
    return folder / 'cncb_ncov' / group / patient / scan / file


def test_lists_have_the_real_formats(phantom):
    folder, _ = phantom
    patterns = {
        'lesions': r'\d+_\d+\.jpg',
        'slices': r'(NCP|CP|Normal)_\d+_\d+_\d{4}\.png [012] \d+ \d+ \d+ \d+',
        'slices_selected': r'[012]_\d+_\d+_\d{4}\.png',
        'ictcf': r'(0_nCT|2_pCT)\d+\.jpg',
    }
    for split in LISTS:
        lines = rows(folder, split)
        assert len(lines) == len(set(lines)) == SMALL[split]
        pattern = patterns.get(split, patterns[split.split('_')[0]])
        assert all(re.fullmatch(pattern, line) for line in lines), split


def test_lists_match_the_real_ones(phantom, shared_dir):
    """The same shape of row as the published lists: digits become 0, class words stay."""
    folder, _ = phantom

    def shapes(lines):
        return {re.sub(r'\d+', '0', re.sub(r'^[02](?=_[np]CT)', 'x', line)) for line in lines}

    for split, path in LISTS.items():
        name = path.rsplit('/', 1)[1]
        real = next((shared_dir / 'data').glob(f'*/{name}')).read_text().splitlines()
        assert shapes(rows(folder, split)) == shapes(real), name


def test_listed_files_exist(phantom):
    folder, summary = phantom
    expected = {folder / 'phantom.json', *(folder / path for path in LISTS.values())}
    for split in ('slices_train', 'slices_val', 'slices_test'):
        for line in rows(folder, split):
            name, label, *_ = line.split()
            assert ('Normal', 'CP', 'NCP').index(name.split('_')[0]) == int(label)
            expected.add(classification_file(folder, name))
    for split in ('lesions_train', 'lesions_test'):
        for line in rows(folder, split):
            patient, index = line[:-4].split('_')
            seg = folder / 'cncb_ncov' / 'ct_lesion_seg'
            expected |= {seg / 'image' / patient / f'{index}.jpg', seg / 'mask' / patient / f'{index}.png'}
    for split in ('ictcf_train', 'ictcf_test'):
        for line in rows(folder, split):
            expected.add(folder / 'ictcf' / line[2:5] / line[2:])
    assert {path for path in folder.rglob('*') if path.is_file()} == expected
    assert summary.written == len(expected) - len(LISTS) - 1 and summary.kept == 0
    for path in expected:
        if path.suffix in ('.png', '.jpg'):
            assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (SMALL['size'],) * 2


def test_masks_and_boxes_on_disk(phantom):
    folder, summary = phantom
    healthy = 0
    for split in ('lesions_train', 'lesions_test'):
        for line in rows(folder, split):
            patient, index = line[:-4].split('_')
            mask = cv2.imread(str(folder / f'cncb_ncov/ct_lesion_seg/mask/{patient}/{index}.png'), -1)
            assert set(np.unique(mask)) <= {0, 1, 2, 3}
            healthy += not (mask > 1).any()
    assert healthy == sum(summary.slices[split]['Normal'] for split in ('lesions_train', 'lesions_test')) == 3 + 1
    for line in rows(folder, 'slices_test'):
        name, _, xmin, ymin, xmax, ymax = line.split()
        image = cv2.imread(str(classification_file(folder, name)), -1)
        # The body is the largest bright object once its inside is filled; the couch is another one.
        labels, count = ndimage.label(ndimage.binary_fill_holes(image > 150))
        body = labels == 1 + np.argmax(ndimage.sum_labels(labels > 0, labels, range(1, count + 1)))
        ys, xs = np.nonzero(body)
        assert (
            np.abs(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) - np.array([xmin, ymin, xmax, ymax], int)).max()
            <= 4
        ), line


def test_training_list_is_a_balanced_subset(phantom):
    folder, _ = phantom
    groups = ('Normal', 'CP', 'NCP')
    selected = [f'{groups[int(line[0])]}{line[1:]}' for line in rows(folder, 'slices_selected')]
    train = {line.split()[0] for line in rows(folder, 'slices_train')}
    assert set(selected) < train
    assert [sum(name.startswith(group + '_') for name in selected) for group in groups] == [4, 4, 4]


def test_patients_are_never_shared_between_splits(phantom):
    folder, summary = phantom
    plan = plan_phantom(PhantomSettings(**SMALL))
    splits = defaultdict(set)
    for row in plan:
        splits[row.number].add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert sum(summary.patients.values()) == len(splits)
    named = defaultdict(set)  # and by the names that the lists give them
    for split in ('slices_train', 'slices_val', 'slices_test', 'lesions_train', 'lesions_test'):
        for line in rows(folder, split):
            named[split.split('_')[0], tuple(line.split('_')[:-1])].add(split)
    assert all(len(found) == 1 for found in named.values())
    per_patient = defaultdict(list)
    for row in plan:
        per_patient[row.number].append(row.level)
    for levels in per_patient.values():
        assert len(levels) <= 3 and len(set(levels)) == len(levels) and max(levels) - min(levels) < 0.1


def test_covidx_ct_layout(phantom, tmp_path):
    """Written only on request, next to the other layouts, whose bytes do not change."""
    folder, _ = phantom
    summary = write_phantom(tmp_path, covidx_train=40, covidx_val=10, covidx_test=11, **SMALL)
    assert digests(folder).items() - digests(tmp_path).items() == {('phantom.json', digests(folder)['phantom.json'])}
    assert summary.slices['covidx_test'] == {'Normal': 4, 'CP': 4, 'COVID-19': 3}
    with open(tmp_path / 'covidx_ct/metadata.csv', newline='') as file:
        metadata = list(csv.DictReader(file))
    assert (
        len(metadata)
        == len({row['patient id'] for row in metadata})
        == sum(summary.patients[f'covidx_{split}'] for split in ('train', 'val', 'test'))
    )
    names = []
    for split in ('train', 'val', 'test'):
        for line in (tmp_path / f'covidx_ct/{split}_COVIDx_CT-3A.txt').read_text().splitlines():
            name, label, *box = line.split()
            image = cv2.imread(str(tmp_path / 'covidx_ct/3A_images' / name), cv2.IMREAD_UNCHANGED)
            xmin, ymin, xmax, ymax = map(int, box)
            assert image.shape == (96, 96) and 0 <= xmin < xmax <= 96 and 0 <= ymin < ymax <= 96
            finding = ('Normal', 'Pneumonia', 'COVID-19')[int(label)]
            apart = name.replace('_patient', ' patient')  # COVID-CTset has the patient in the middle of the name
            known = [row['finding'] for row in metadata if re.search(rf'\b{row["patient id"]}(?![0-9])', apart)]
            assert known == [finding], name
            names.append(name)
    assert len(names) == len(set(names)) == 61
    assert {path.name for path in (tmp_path / 'covidx_ct/3A_images').iterdir()} == set(names)
    with pytest.raises(ValueError, match='covidx_train 40 -> 0'):
        write_phantom(tmp_path, **SMALL)


def test_covidx_ct_rows_and_columns_match_the_real_ones(tmp_path, shared_dir):
    write_phantom(tmp_path, covidx_train=3, covidx_val=60, covidx_test=60, **{**SMALL, 'slices_per_patient': 1, 'size': 64})

    def shapes(path):
        return {re.sub(r'[0-9.]+', '0', line) for line in path.read_text().splitlines()}

    for split in ('val', 'test'):
        name = f'{split}_COVIDx_CT-3A.txt'
        assert shapes(tmp_path / 'covidx_ct' / name) <= shapes(shared_dir / 'data/covidx_ct_v3' / name)
    real = (shared_dir / 'data/covidx_ct_v3/metadata.csv').read_text().splitlines()
    drawn = (tmp_path / 'covidx_ct/metadata.csv').read_text().splitlines()
    assert drawn[0] == real[0] and {line.split(',')[1] for line in drawn} <= {line.split(',')[1] for line in real}


def test_phantom_from_before_a_new_setting_is_kept(phantom, tmp_path):
    folder, _ = phantom
    shutil.copytree(folder, tmp_path / 'old')
    marker = tmp_path / 'old' / 'phantom.json'
    content = json.loads(marker.read_text())
    for key in ('covidx_train', 'covidx_val', 'covidx_test'):
        del content['settings'][key]
    marker.write_text(json.dumps(content))
    assert write_phantom(tmp_path / 'old', **SMALL).written == 0


def test_phantom_is_reproducible_in_another_folder(phantom, tmp_path):
    folder, _ = phantom
    write_phantom(tmp_path, **SMALL)  # an empty folder is fine
    assert digests(tmp_path) == digests(folder)


def test_interrupted_run_can_be_repeated(phantom, tmp_path, monkeypatch):
    folder, _ = phantom
    replace, calls = os.replace, []

    def power_cut(source, target):
        calls.append(target)
        if len(calls) == 15:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, 'replace', power_cut)
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path, **SMALL)
    monkeypatch.undo()
    so_far, whole = digests(tmp_path), digests(folder)
    assert len(so_far) == 14 and so_far.items() <= whole.items()  # no partial or temporary files
    steps = []
    summary = write_phantom(tmp_path, progress=lambda done, total: steps.append((done, total)), **SMALL)
    assert digests(tmp_path) == whole
    assert summary.kept == 13  # of the 14, one is the marker
    total = len(plan_phantom(PhantomSettings(**SMALL)))
    assert steps == [(done, total) for done in range(1, total + 1)]
    assert write_phantom(tmp_path, **SMALL).written == 0


def test_other_folders_are_rejected(phantom, tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(ValueError, match='not empty.*choose another folder'):
        write_phantom(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']
    with pytest.raises(ValueError, match='is a file'):
        write_phantom(tmp_path / 'thesis.txt', **SMALL)
    broken = tmp_path / 'broken'
    broken.mkdir()
    (broken / 'phantom.json').write_text('{')
    with pytest.raises(ValueError, match='not the marker'):
        write_phantom(broken, **SMALL)


def test_other_settings_need_overwrite(phantom, tmp_path):
    folder, _ = phantom
    few = {**FEW, 'lesions_train': 3, 'lesions_test': 3}
    write_phantom(tmp_path, **{**SMALL, **few, 'size': 64})
    (tmp_path / 'cncb_ncov' / 'annotations').mkdir()
    with pytest.raises(ValueError, match='other settings.*size 64 -> 96, slices_selected 3 -> 12'):
        write_phantom(tmp_path, **SMALL)
    write_phantom(tmp_path, overwrite=True, **SMALL)
    assert digests(tmp_path) == digests(folder)
    assert not (tmp_path / 'cncb_ncov' / 'annotations').exists()


@pytest.mark.parametrize(
    'wrong',
    [
        dict(size=32),
        dict(seed=-1),
        dict(slices_per_patient=0),
        dict(slices_per_patient=43),
        dict(lesions_test=0),
        dict(slices_val=2),
        dict(slices_selected=10),
        dict(slices_selected=21),
        dict(ictcf_test=1),
        dict(slices_test=9.0),
        dict(covidx_val=-1),
    ],
)
def test_invalid_settings(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        write_phantom(tmp_path / 'x', **{**SMALL, **wrong})
    assert not (tmp_path / 'x').exists()


def test_unknown_setting(tmp_path):
    with pytest.raises(TypeError, match='lesions_val'):
        write_phantom(tmp_path / 'x', lesions_val=3)


@pytest.mark.parametrize('per', [1, 20, 42])
def test_any_number_of_slices_per_patient(per):
    plan = plan_phantom(PhantomSettings(**{**SMALL, 'slices_per_patient': per}))
    assert len({row.image for row in plan}) == len(plan) == sum(SMALL[split] for split in LISTS if split != 'slices_selected')
    assert all(0.1 < row.level < 0.9 for row in plan)


def test_classes_are_in_the_order_of_the_labels():
    assert SLICE_CLASSES == ('Normal', 'CP', 'COVID-19')
