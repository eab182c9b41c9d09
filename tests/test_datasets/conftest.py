"""Small data sets on disk that several tests of this folder use."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from pycocotools import mask as mask_utils

SLICE_CLASSES = ['Normal', 'CP', 'COVID-19']


def _rle(mask: np.ndarray) -> dict:
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': list(rle['size']), 'counts': rle['counts'].decode()}


@pytest.fixture(autouse=True)
def mmdet_scope():
    """Let pipelines find MMDetection's transforms by their bare names, as a runner does."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def two_task_root(tmp_path) -> Path:
    """Data root with lesions.json (5 slices, 3 with lesions) and slices.json (7 slices of 3 classes), all images there.

    Every image has its own constant grey level, so that its pixels identify a sample: 10 + index for lesion
    slices, 100 + index for labelled slices. Images are 24 high, 32 wide.
    """
    images, annotations, rows = [], [], []
    (tmp_path / 'image').mkdir()
    for index in range(5):
        name = f'image/lesion_{index}.png'
        cv2.imwrite(str(tmp_path / name), np.full((24, 32), 10 + index, np.uint8))
        images.append(dict(id=index + 1, file_name=name, width=32, height=24, patient_id=f'p{index // 2}', scan_id=None))
    for image_id, (x, y, w, h) in ((1, (2, 3, 10, 8)), (1, (20, 10, 6, 6)), (3, (0, 0, 12, 12)), (4, (5, 5, 15, 10))):
        mask = np.zeros((24, 32), bool)
        mask[y : y + h, x : x + w] = True
        annotations.append(
            dict(
                id=len(annotations) + 1,
                image_id=image_id,
                category_id=1,
                bbox=[x, y, w, h],
                area=w * h,
                iscrowd=0,
                segmentation=_rle(mask),
            )
        )
    for index in range(7):
        name = f'image/slice_{index}.png'
        cv2.imwrite(str(tmp_path / name), np.full((24, 32), 100 + index, np.uint8))
        rows.append(dict(img_path=name, label=index % 3, patient_id=f'q{index}', scan_id='s'))
    (tmp_path / 'lesions.json').write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name='lesion')]))
    )
    (tmp_path / 'slices.json').write_text(json.dumps(dict(metainfo=dict(slice_classes=SLICE_CLASSES), data_list=rows)))
    return tmp_path
