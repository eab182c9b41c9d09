"""Fuzzing of files and settings: only documented errors may be raised.

A few hundred inputs in the suite. By night, or after a change to a reader, 10 000 and more:

    HYPOTHESIS_PROFILE=fuzz python -m pytest tests/test_fuzz.py

Every finding has become a test of its own, at the end.
"""

import argparse
import copy
import io
import json
import os
import pickle
import zipfile
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from malicious import zipped
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope

import mmaffinity  # noqa: F401  (registers the modules)
from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.checkpoints.untrusted import load_untrusted_checkpoint
from mmaffinity.datasets import LesionDataset, SliceDataset
from mmaffinity.datasets.conversion.coco import annotate_mask
from mmaffinity.datasets.label_masks import read_lesion_mask
from mmaffinity.scans import Problem, ReadOptions, find_scans
from mmaffinity.utils.cli import ConfigOptions
from mmaffinity.utils.config import load_config
from mmaffinity.utils.decoding import decode_slice
from mmaffinity.utils.shared_config import read_shared_config

pytestmark = pytest.mark.slow

DOCUMENTED = (ValueError, FileNotFoundError)
NIGHT = os.environ.get('HYPOTHESIS_PROFILE') == 'fuzz'  # a profile of conftest.py
SIZE = 24


def few(number):
    """Examples of a fast test in the suite, and of every test by night."""
    return settings() if NIGHT else settings(max_examples=number)


# --- inputs ------------------------------------------------------------------------------------------------------------


def pictures():
    grey = np.random.RandomState(0).randint(0, 256, (SIZE, SIZE), np.uint8)
    deep, colour = grey.astype(np.uint16) * 257, np.repeat(grey[..., None], 3, 2)
    kinds = [
        ('.png', grey),
        ('.png', deep),
        ('.png', colour),
        ('.jpg', grey),
        ('.jpg', colour),
        ('.tiff', grey),
        ('.bmp', grey),
        ('.pgm', grey),
        ('.webp', colour),
    ]
    return [cv2.imencode(suffix, image)[1].tobytes() for suffix, image in kinds]


def masks():
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[2:20, 3:16], mask[4:9, 4:8], mask[15:18, 5:12] = 1, 2, 3
    return [cv2.imencode('.png', image)[1].tobytes() for image in (mask, mask * 60)]


def checkpoints():
    content = {
        'state_dict': {'a.weight': torch.arange(6.0).reshape(2, 3), 'a.bias': torch.zeros(3, dtype=torch.int64)},
        'meta': {'epoch': 3, 'dataset_meta': {'classes': ('lesion',)}},
        'message_hub': {'loss': HistoryBuffer([1.0], [1])},
    }
    files = []
    for data, options in (
        (content, {}),
        (content['state_dict'], {}),
        (content['state_dict'], dict(_use_new_zipfile_serialization=False)),
    ):
        buffer = io.BytesIO()
        torch.save(data, buffer, **options)
        files.append(buffer.getvalue())
    return files


def pickles():
    """The pickles inside checkpoints, whose checksums a zip would otherwise protect."""
    files = [zipfile.ZipFile(io.BytesIO(file)) for file in checkpoints()[:2]]
    return [file.read(name) for file in files for name in file.namelist() if name.endswith('data.pkl')] + [
        pickle.dumps({'state_dict': {'w': 1.0}}, protocol) for protocol in range(6)
    ]


@st.composite
def mutated(draw, originals):
    """Bytes of a real file after some edits, or any bytes."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 6))):
        kind, at = draw(st.sampled_from('flip set cut insert repeat drop'.split())), draw(st.integers(0, max(len(data) - 1, 0)))
        if kind == 'cut':
            del data[at:]
        elif kind == 'insert':
            data[at:at] = draw(st.binary(max_size=8))
        elif kind == 'repeat':
            data[at:at] = data[at : at + draw(st.integers(1, 32))]
        elif kind == 'drop':
            del data[at : at + draw(st.integers(1, 32))]
        elif data:
            data[at] = (
                data[at] ^ (1 << draw(st.integers(0, 7))) if kind == 'flip' else draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)))
            )
    return bytes(data)


def damaged(originals):
    return st.one_of(mutated(originals), mutated(originals), mutated(originals), st.binary(max_size=64))


NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([2**31, 2**63, -(2**63), 10**400, 1e308, -1e-5, 0.5]),
    st.floats(allow_nan=True, allow_infinity=True),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=6))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def edited(draw, original):
    """A JSON-like value with some of its parts replaced, removed or repeated."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 4))):
        node = value
        while isinstance(node, (dict, list)) and node:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            key = draw(st.sampled_from(list(keys)))
            inner = node[key]
            if isinstance(inner, (dict, list)) and inner and draw(st.integers(0, 3)):
                node = inner
                continue
            action = draw(st.sampled_from(('replace', 'replace', 'replace', 'remove', 'repeat')))
            if action == 'remove':
                del node[key]
            elif action == 'repeat' and isinstance(node, list):
                node.insert(key, copy.deepcopy(inner))
            else:
                node[key] = draw(JSON)
            break
    return value


SLICE_LIST = {
    'metainfo': {'slice_classes': ['Normal', 'CP'], 'source': 'x'},
    'data_list': [
        {'img_path': 'a.png', 'label': 0, 'patient_id': '1', 'scan_id': None},
        {'img_path': 'b/c.png', 'label': 1, 'patient_id': None, 'scan_id': '4'},
    ],
}
COCO = {
    'images': [
        {'id': 1, 'file_name': 'a.png', 'width': SIZE, 'height': SIZE, 'patient_id': '1', 'scan_id': None},
        {'id': 2, 'file_name': 'b.png', 'width': SIZE, 'height': SIZE, 'patient_id': '2', 'scan_id': None},
    ],
    'annotations': [
        {
            'id': 1,
            'image_id': 1,
            'category_id': 1,
            'bbox': [2, 3, 5, 6],
            'area': 20,
            'iscrowd': 0,
            'segmentation': {'size': [SIZE, SIZE], 'counts': [51, 5, 19, 5, 496]},
        },
        {
            'id': 2,
            'image_id': 1,
            'category_id': 1,
            'bbox': [2, 3, 5, 6],
            'area': 20,
            'iscrowd': 0,
            'segmentation': {'size': [SIZE, SIZE], 'counts': 'c1h0'},
        },
        {
            'id': 3,
            'image_id': 2,
            'category_id': 1,
            'bbox': [2.5, 3, 5, 6],
            'area': 20,
            'iscrowd': 0,
            'segmentation': [[2, 2, 8, 2, 8, 9]],
        },
    ],
    'categories': [{'id': 1, 'name': 'lesion'}],
}
DESCRIPTION = {
    'format': 'mmaffinity model',
    'schema': 1,
    'config': {
        'model': {'type': 'SliceClassifier', 'backbone': {'type': 'ResNet', 'depth': 18, 'strides': {'tuple': [1, 2]}}},
        'slice_classes': ['a', 'b'],
        'image_size': {'tuple': [64, 64]},
        'test_dataloader': {
            'dataset': {'pipeline': [{'type': 'Resize', 'scale': {'tuple': [64, 64]}}, {'type': 'PackSliceInputs'}]}
        },
    },
}
PIPELINE = [
    dict(type='LoadCTSlice'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackSliceInputs'),
]


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


# --- readers -----------------------------------------------------------------------------------------------------------


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
