"""Valid files and settings for tests/test_fuzz.py, and strategies that damage them."""

import copy
import io
import pickle
import zipfile

import cv2
import numpy as np
import torch
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

import mmaffinity  # noqa: F401  (registers the modules)

SIZE = 24


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
