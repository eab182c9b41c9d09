"""The phantom's files: reproducible bytes, real layouts and lists."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from phantom_helpers import FEW, SMALL, digests, rows
from scipy import ndimage

from mmaffinity.datasets.phantom.plan import LISTS, PhantomSettings, plan_phantom
from mmaffinity.datasets.phantom.writer import write_phantom


def classification_file(folder, name):
    group, patient, scan, file = name.split('_')
    return folder / 'cncb_ncov' / group / patient / scan / file


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


def test_unknown_setting(tmp_path):
    with pytest.raises(TypeError, match='lesions_val'):
        write_phantom(tmp_path / 'x', lesions_val=3)
