"""Fuzzing of files and settings: only documented errors may be raised.

A few hundred inputs in the suite. By night, or after a change to a reader, 10 000 and more:

    HYPOTHESIS_PROFILE=fuzz python -m pytest tests/test_fuzz.py

Every finding has become a test of its own, at the end.
"""

import argparse
import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz_inputs import COCO, DESCRIPTION, JSON, PIPELINE, SLICE_LIST, checkpoints, damaged, edited, masks, pickles, pictures
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from malicious import zipped
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmaffinity  # noqa: F401  (registers the modules)
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.checkpoints.untrusted import load_untrusted_checkpoint
from mmaffinity.datasets.conversion.coco import annotate_mask
from mmaffinity.datasets.label_masks import read_lesion_mask
from mmaffinity.datasets.lesion_dataset import LesionDataset
from mmaffinity.datasets.slice_dataset import SliceDataset
from mmaffinity.scans import Problem, ReadOptions, find_scans
from mmaffinity.utils.cli import ConfigOptions
from mmaffinity.utils.config import load_config
from mmaffinity.utils.decoding import decode_slice
from mmaffinity.utils.shared_config import read_shared_config

pytestmark = pytest.mark.slow

DOCUMENTED = (ValueError, FileNotFoundError)
NIGHT = os.environ.get('HYPOTHESIS_PROFILE') == 'fuzz'  # a profile of conftest.py


def few(number):
    """Examples of a fast test in the suite, and of every test by night."""
    return settings() if NIGHT else settings(max_examples=number)


# --- readers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    init_default_scope('mmdet')
    path = tmp_path_factory.mktemp('fuzz')
    for name in ('a.png', 'b.png'):
        (path / name).write_bytes(pictures()[0])
    return path


def write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value))
    return str(path)


@few(120)
@given(damaged(pictures()))
def test_slice_files(data):
    try:
        image = decode_slice(data, max_pixels=2**20)
    except ValueError as error:
        assert str(error)
    else:
        assert image.ndim == 2 and image.size and image.dtype in (np.uint8, np.float32)


@few(60)
@given(damaged(masks()))
def test_mask_files(folder, data):
    path = folder / 'mask.png'
    path.write_bytes(data)
    try:
        mask = read_lesion_mask(path)
    except ValueError as error:
        assert 'mask.png' in str(error)
    else:
        assume(mask.size <= 2**20)
        annotate_mask(mask, min_area=3)


@few(60)
@given(edited(SLICE_LIST) | JSON)
def test_slice_lists(folder, content):
    try:
        dataset = SliceDataset(ann_file=write(folder / 'list.json', content), data_root=str(folder))
        rows = [dataset.get_data_info(index) for index in range(len(dataset))]
    except DOCUMENTED as error:
        assert 'list.json' in str(error)
    else:
        assert rows and all(isinstance(row['gt_slice_label'], int) and isinstance(row['img_path'], str) for row in rows)


@few(80)
@given(edited(COCO) | JSON)
def test_coco_files(folder, content):
    try:
        dataset = LesionDataset(
            ann_file=write(folder / 'coco.json', content), data_root=str(folder), pipeline=PIPELINE, test_mode=True
        )
        samples = [dataset[index]['data_samples'] for index in range(min(len(dataset), 3))]
    except DOCUMENTED as error:
        assert 'coco.json' in str(error) or 'image file' in str(error)
    else:
        assert all(sample.gt_instances.bboxes.shape[1] == 4 for sample in samples)


KEYS = st.sampled_from(
    [
        'model',
        'model.backbone',
        'model.backbone.depth',
        'train_dataloader',
        'test_dataloader.dataset',
        'test_dataloader.dataset.pipeline.0.type',
        'data_root',
        'image_size',
        'slice_classes',
        'default_hooks',
        'custom_imports',
        'randomness.seed',
        'randomness',
        'custom_hooks',
        'custom_hooks.0',
        'load_from',
        'train_dataloader.dataset',
        '.',
        '',
        'a..b',
        'train_dataloader.dataset.0',
        'new.field',
    ]
)
VALUES = st.text(alphabet='()[],.=\'"{}0129eEnNaTrulsfx -', max_size=12) | st.text(max_size=6)


@few(60)
@given(st.lists(st.tuples(KEYS | st.text(max_size=5), VALUES), min_size=1, max_size=3))
def test_config_overrides(repo_root, words):
    """As passed to the tools; text that cannot be parsed is a usage error."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    try:
        overrides = parser.parse_args(['--cfg-options', *(f'{key}={value}' for key, value in words)]).cfg_options
    except SystemExit as end:
        assert end.code == 2
        return
    try:
        assert isinstance(load_config(repo_root / 'configs/affinity_c8_phantom.py', overrides), Config)
    except ValueError as error:
        assert 'affinity_c8_phantom.py' in str(error)


@few(60)
@given(edited(DESCRIPTION) | JSON)
def test_model_descriptions(folder, content):
    try:
        assert isinstance(read_shared_config(write(folder / 'model.json', content)), Config)
    except ValueError as error:
        assert 'model.json' in str(error)


@few(80)
@given(damaged(checkpoints()) | damaged(pickles()).map(zipped))
def test_checkpoints(folder, data):
    path = folder / 'weights.pth'
    path.write_bytes(data)
    for read in (load_checkpoint, load_untrusted_checkpoint):
        try:
            read(path)
        except ValueError as error:
            assert 'weights.pth' in str(error)


@few(40)
@given(st.data())
def test_safetensors(folder, data):
    safetensors = pytest.importorskip('safetensors.torch')
    path = folder / 'weights.safetensors'
    path.write_bytes(data.draw(damaged([safetensors.save({'a': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(1)})])))
    try:
        load_checkpoint(path)
    except ValueError as error:
        assert 'weights.safetensors' in str(error)


def scan_files(folder):
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    from scan_helpers import chest_volume, write_nifti, write_series

    write_nifti(folder / 'v.nii', chest_volume()[:16, :16, :2])
    write_series(folder / 'dcm', 1)
    return [(folder / 'v.nii').read_bytes(), next((folder / 'dcm').iterdir()).read_bytes()]


@pytest.fixture(scope='module')
def scans(tmp_path_factory):
    return scan_files(tmp_path_factory.mktemp('scans'))


@few(40)
@given(st.data())
def test_scan_files(folder, scans, data):
    """DICOM and NIfTI: unreadable files are problems with a reason, never exceptions."""
    path = folder / 'scan.bin'
    path.write_bytes(data.draw(damaged(scans)))
    for scan in find_scans([path], ReadOptions()):
        if not isinstance(scan, Problem):
            try:
                scan.check()
            except ValueError:
                continue
            for result in islice(scan.read(), 8):
                if isinstance(result, Problem):
                    assert result.reason
                else:
                    grey = result.grey
                    assert grey.ndim == 2 and grey.dtype in (np.uint8, np.float32) and 0 <= grey.min() <= grey.max() <= 255


# --- what it found; findings in COCO files are in tests/test_datasets/test_coco_checks.py -------------------------------


def test_found_zip_entry_with_a_negative_offset(tmp_path):
    """An entry's offset below 0: zipfile's seek raised OSError, from inside the reader of published checkpoints."""
    data = bytearray(checkpoints()[0])
    directory = data.index(b'PK\x01\x02')
    end = data.index(b'PK\x06\x06')
    data[end + 48 : end + 56] = (directory + 2**20).to_bytes(8, 'little')
    path = tmp_path / 'weights.pth'
    path.write_bytes(data)
    for read in (load_checkpoint, load_untrusted_checkpoint):
        with pytest.raises(ValueError, match='weights.pth'):
            read(path)


@pytest.mark.parametrize('metainfo', [1, [1], 'slice_classes', True])
def test_found_metainfo_of_another_type(metainfo, tmp_path):
    """TypeError: 'int' object is not iterable."""
    content = {**SLICE_LIST, 'metainfo': metainfo}
    with pytest.raises(ValueError, match='"metainfo" of .*list.json is .*, but must be an object'):
        SliceDataset(ann_file=write(tmp_path / 'list.json', content), data_root=str(tmp_path))


@pytest.mark.parametrize('patient', [[1], {}, 1.5, True])
def test_found_patients_that_cannot_be_grouped(patient, tmp_path):
    """Unhashable patients were accepted, and failed when scores were grouped by patient."""
    content = {**SLICE_LIST, 'data_list': [{**SLICE_LIST['data_list'][0], 'patient_id': patient}]}
    with pytest.raises(ValueError, match='row 0 of .*list.json has the patient_id'):
        SliceDataset(ann_file=write(tmp_path / 'list.json', content), data_root=str(tmp_path))
