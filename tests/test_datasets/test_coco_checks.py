"""COCO entries: run lengths as pycocotools writes them, and what is wrong with others."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from mmaffinity.datasets.coco_checks import check_annotation, check_image, run_lengths

IMAGE = {'id': 1, 'file_name': 'a.png', 'width': 4, 'height': 3}
GOOD = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 2, 2.5], 'area': 4,
        'segmentation': {'size': [3, 4], 'counts': [2, 4, 6]}}


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0, 1), st.integers(0, 9))
def test_run_lengths_are_those_of_the_mask(height, width, share, seed):
    mask = np.asfortranarray(np.random.RandomState(seed).rand(height, width) < share, np.uint8)
    pixels = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(np.concatenate([[0], pixels])))
    expected = np.diff(np.concatenate([[0], changes, [pixels.size]]))
    assert run_lengths(mask_utils.encode(mask)['counts'].decode()).tolist() == expected.tolist()


@pytest.mark.parametrize('counts', ['', 'é', 'c1h0o', '\x00', 'ooooooooooo0', '~'])
def test_other_text_is_no_code(counts):
    with pytest.raises(ValueError, match='whose counts are'):
        run_lengths(counts)


def test_good_entries_pass():
    check_image(IMAGE)
    for mask in (GOOD['segmentation'], [[0, 0, 3, 0, 3, 2.5]], {'size': [3, 4], 'counts': mask_utils.encode(
            np.asfortranarray(np.eye(3, 4, dtype=np.uint8)))['counts'].decode()}):
        check_annotation({**GOOD, 'segmentation': mask, 'iscrowd': 0}, IMAGE)


@pytest.mark.parametrize('change', [{'id': None}, {'id': [1]}, {'id': 1.5}, {'file_name': 3}, {'file_name': ''},
                                    {'width': 0}, {'width': 4.}, {'height': True}, {'width': 10**6, 'height': 10**6}])
def test_images(change):
    with pytest.raises(ValueError, match='^has '):
        check_image({**IMAGE, **change})


@pytest.mark.parametrize('change, match', [
    ({'bbox': [1, 2, 3]}, 'four finite numbers'), ({'bbox': None}, 'four finite numbers'),
    ({'bbox': [0, 0, 1, float('nan')]}, 'four finite numbers'), ({'bbox': '1234'}, 'four finite numbers'),
    ({'bbox': [0, 0, 1, 10**400]}, 'four finite numbers'), ({'area': None}, 'area None'), ({'iscrowd': 2}, 'iscrowd 2'),
    ({'ignore': 'x'}, "ignore 'x'"), ({'segmentation': None}, 'neither polygons nor RLE'), ({'segmentation': []}, 'polygons'),
    ({'segmentation': [[1, 2]]}, 'polygons'), ({'segmentation': [[1, 2, 3, 4, 5, 1e9]]}, 'near the picture'),
    ({'segmentation': {'counts': [12]}}, 'neither polygons nor RLE'),
    ({'segmentation': {'size': [4, 3], 'counts': [12]}}, r'of size \[4, 3\], but the image is \[3, 4\]'),
    ({'segmentation': {'size': [3, 4], 'counts': [-1, 13]}}, 'do not add up to the 12 pixels'),
    ({'segmentation': {'size': [3, 4], 'counts': [2, 4, 5]}}, 'do not add up to the 12 pixels'),
    ({'segmentation': {'size': [3, 4], 'counts': [2, '4', 6]}}, 'do not add up to the 12 pixels'),
    ({'segmentation': {'size': [3, 4], 'counts': 7}}, 'do not add up to the 12 pixels'),
    ({'segmentation': {'size': [3, 4], 'counts': 'oooo'}}, 'counts are cut'),
])
def test_annotations(change, match):
    with pytest.raises(ValueError, match=match):
        check_annotation({**GOOD, **change}, IMAGE)
