"""COCO entries: run lengths as written by pycocotools, and invalid entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from mmaffinity.datasets.coco_checks import is_used, read_annotation, read_image, read_reference
from mmaffinity.datasets.mask_extent import run_lengths

IMAGE = {'id': 1, 'file_name': 'a.png', 'width': 4, 'height': 3}
GOOD = {
    'id': 1,
    'image_id': 1,
    'category_id': 1,
    'bbox': [0, 0, 2, 2.5],
    'area': 4,
    'segmentation': {'size': [3, 4], 'counts': [2, 4, 6]},
}


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0, 1), st.integers(0, 9))
def test_run_lengths_decode_to_the_mask(height, width, share, seed):
    mask = np.asfortranarray(np.random.RandomState(seed).rand(height, width) < share, np.uint8)
    pixels = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(np.concatenate([[0], pixels])))
    expected = np.diff(np.concatenate([[0], changes, [pixels.size]]))
    assert run_lengths(mask_utils.encode(mask)['counts'].decode()).tolist() == expected.tolist()


@pytest.mark.parametrize('counts', ['', 'é', 'c1h0o', '\x00', 'ooooooooooo0', '~'])
def test_other_text_is_not_a_run_length_code(counts):
    with pytest.raises(ValueError, match='whose counts are'):
        run_lengths(counts)


def test_good_entries_pass():
    assert read_image(IMAGE) == IMAGE
    for mask in (
        GOOD['segmentation'],
        [[0, 0, 3, 0, 3, 2.5]],
        {'size': [3, 4], 'counts': mask_utils.encode(np.asfortranarray(np.eye(3, 4, dtype=np.uint8)))['counts'].decode()},
    ):
        read = read_annotation({**GOOD, 'segmentation': mask, 'iscrowd': 0}, IMAGE)
        assert read['segmentation'] == mask and read['bbox'] == GOOD['bbox'] and is_used(read, IMAGE)


def test_whole_numbers_written_as_floats():
    read = read_image({**IMAGE, 'id': 2.0, 'width': 4.0, 'height': 3.0})
    assert [type(read[key]) for key in ('id', 'width', 'height')] == [int, int, int] and read['id'] == 2
    mask = {'size': [3.0, 4.0], 'counts': [2.0, 4.0, 6.0]}
    assert repr(read_annotation({**GOOD, 'segmentation': mask}, read)['segmentation']) == repr(GOOD['segmentation'])
    assert read_reference(2**70, 'id') == 2**70 and read_reference('a', 'id') == 'a'


@pytest.mark.parametrize('area', [0, -5, 0.001, float('nan'), 'four', None, [4]])
def test_area_comes_from_the_mask(area):
    """Tools write 0, the area of the box, or nothing; training uses only the mask."""
    absent = {key: value for key, value in GOOD.items() if key != 'area'}
    for annotation in ({**GOOD, 'area': area}, absent):
        assert read_annotation(annotation, IMAGE)['area'] == 4
    assert read_annotation({**GOOD, 'segmentation': [[0, 0, 3, 0, 3, 2], [0, 2, 1, 3, 0, 3]]}, IMAGE)['area'] == 3.5


@pytest.mark.parametrize('box', [None, [0, 0, 0, 0], [5, 5, -3, 8], [1, 1, 0.5, 2]])
def test_invalid_box_is_replaced_by_that_of_the_mask(box):
    """Pixels 2 to 5 of columns of 3: the last of the first column, and all of the second."""
    absent = {key: value for key, value in GOOD.items() if key != 'bbox'}
    for annotation in ({**GOOD, 'bbox': box}, absent):
        assert read_annotation(annotation, IMAGE)['bbox'] == [0, 0, 2, 3]
    polygon = {**GOOD, 'bbox': box, 'segmentation': [[1, 0.5, 3, 0.5, 3, 2]]}
    assert read_annotation(polygon, IMAGE)['bbox'] == [1, 0.5, 2, 1.5]


def test_box_far_from_its_mask_is_replaced():
    """mmdetection#3901 and vision#1128: two corners instead of x, y, width, height."""
    image = {**IMAGE, 'width': 100, 'height': 100}
    outline = {**GOOD, 'segmentation': [[40, 50, 60, 50, 60, 80, 40, 80]]}
    assert read_annotation({**outline, 'bbox': [40, 50, 60, 80]}, image)['bbox'] == [40, 50, 20, 30]
    for box in ([40, 50, 20, 30], [41, 51, 19, 29], [38, 48, 22, 32], [40, 50, 25, 30], [120, 50, 20, 30]):
        assert read_annotation({**outline, 'bbox': box}, image)['bbox'] == box
    tiny = {**GOOD, 'segmentation': [[40, 50, 42, 50, 42, 52, 40, 52]]}
    assert read_annotation({**tiny, 'bbox': [40, 50, 1, 1]}, image)['bbox'] == [40, 50, 1, 1]


@pytest.mark.parametrize(
    'change',
    [
        {'ignore': 1},
        {'bbox': [4, 0, 2, 2]},
        {'bbox': [-2, 0, 2, 2]},
        {'segmentation': {'size': [3, 4], 'counts': [12]}},
        {'segmentation': [[0, 0, 3, 0, 1, 0]]},
        {'bbox': None, 'segmentation': [[0, 0, 0.5, 0, 0.5, 3]]},
    ],
)
def test_lesions_without_a_pixel_of_the_slice(change):
    assert not is_used(read_annotation({**GOOD, **change}, IMAGE), IMAGE)


@pytest.mark.parametrize(
    'change',
    [
        {'id': None},
        {'id': [1]},
        {'id': 1.5},
        {'id': True},
        {'file_name': 3},
        {'file_name': ''},
        {'width': 0},
        {'width': 4.5},
        {'width': '4'},
        {'width': float('nan')},
        {'height': True},
        {'height': float('inf')},
        {'width': -4},
        {'width': 10**6, 'height': 10**6},
    ],
)
def test_images(change):
    with pytest.raises(ValueError, match='^has '):
        read_image({**IMAGE, **change})


@pytest.mark.parametrize(
    'change, match',
    [
        ({'bbox': [1, 2, 3]}, 'four finite numbers'),
        ({'bbox': {}}, 'four finite numbers'),
        ({'bbox': [0, 0, 1, float('nan')]}, 'four finite numbers'),
        ({'bbox': '1234'}, 'four finite numbers'),
        ({'bbox': [0, 0, 1, 10**400]}, 'four finite numbers'),
        ({'iscrowd': 2}, 'iscrowd 2'),
        ({'iscrowd': '1'}, "iscrowd '1'"),
        ({'ignore': 'x'}, "ignore 'x'"),
        ({'segmentation': None}, 'expected polygons or run lengths'),
        ({'segmentation': []}, 'polygons'),
        ({'segmentation': [[1, 2]]}, 'polygons'),
        ({'segmentation': [[1, 2, 3, 4, 5]]}, 'polygons'),
        ({'segmentation': [0, 0, 3, 0, 3, 2]}, 'polygons'),
        ({'segmentation': [[1, 2, 3, 4, 5, 1e9]]}, 'far outside the image'),
        ({'segmentation': {'counts': [12]}}, 'the size None'),
        ({'segmentation': {'size': [4, 3], 'counts': [12]}}, r'of size \[4, 3\], but the image is \[3, 4\]'),
        ({'segmentation': {'size': [3, 4], 'counts': [-1, 13]}}, 'add up to 12 pixels, not to 3 x 4'),
        ({'segmentation': {'size': [3, 4], 'counts': [2, 4, 5]}}, 'add up to 11 pixels, not to 3 x 4'),
        ({'segmentation': {'size': [3, 4], 'counts': [2, '4', 6]}}, 'not whole numbers'),
        ({'segmentation': {'size': [3, 4], 'counts': [2, 4, 6, 2**70]}}, 'not whole numbers'),
        ({'segmentation': {'size': [3, 4], 'counts': 7}}, 'neither a string nor a list'),
        ({'segmentation': {'size': [3, 4], 'counts': 'oooo'}}, 'counts are truncated'),
    ],
)
def test_annotations(change, match):
    with pytest.raises(ValueError, match=match):
        read_annotation({**GOOD, **change}, IMAGE)
