"""Run lengths against pycocotools' own encoder."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmaffinity.utils.run_lengths import encode_masks


def edge_cases(height=7, width=10):
    masks = np.zeros((8, height, width), dtype=bool)
    masks[1] = True
    masks[2, 0, 0] = True
    masks[3, -1, -1] = True
    masks[4, :, 3] = True
    masks[5, 2, :] = True
    masks[6, 1:3, 1:3] = masks[6, 4:6, 7:9] = True  # two parts, empty columns between them
    masks[7, :, -1] = masks[7, :, 0] = True
    return masks


@pytest.mark.parametrize('masks', [edge_cases(), edge_cases(64, 64)])
def test_bitmaps_are_encoded_as_by_pycocotools(masks):
    expected = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]
    assert encode_masks(masks) == expected
    assert encode_masks(masks.astype(np.uint8)) == expected
    assert encode_masks(list(masks)) == expected


@pytest.mark.parametrize('seed', range(10))
def test_random_bitmaps(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((6, *rng.integers(1, 40, 2))) < rng.random()
    assert encode_masks(masks) == [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]


def test_other_forms():
    mask = edge_cases()[6]
    (rle,) = encode_masks(mask[None])
    assert encode_masks([rle]) == [rle]
    text = {**rle, 'counts': rle['counts'].decode()}
    assert encode_masks([text]) == [text]
    flat = mask.ravel(order='F')
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat.astype(int))) + 1, [flat.size]])).tolist()
    assert encode_masks([{'size': [7, 10], 'counts': runs}]) == [rle]
    polygons = [[1, 1, 3, 1, 3, 3, 1, 3], [7, 4, 9, 4, 9, 6, 7, 6]]
    assert encode_masks([polygons], size=(7, 10)) == [rle]


def test_nothing_to_encode():
    assert encode_masks(np.zeros((0, 5, 5), dtype=bool)) == encode_masks([]) == []


@pytest.mark.parametrize(
    'masks, message',
    [
        (np.zeros((5, 5), dtype=bool), r'\(n, H, W\)'),
        (np.zeros((1, 5, 5)), 'boolean'),
        (np.full((1, 5, 5), 255, dtype=np.uint8), 'from 255 to 255'),
        ([np.zeros(5, dtype=bool)], r'\(H, W\)'),
        ([[[1, 1, 3, 1, 3, 3]]], 'size'),
        ([[]], 'list of polygons'),
        (['mask.png'], 'list of polygons'),
    ],
)
def test_bad_masks(masks, message):
    with pytest.raises(ValueError, match=message):
        encode_masks(masks)


def test_bad_polygon():
    with pytest.raises(ValueError, match='three points'):
        encode_masks([[[1, 1, 3, 1]]], size=(5, 5))
