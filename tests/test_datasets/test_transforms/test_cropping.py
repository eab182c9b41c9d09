import numpy as np
import pytest
from mmdet.registry import TRANSFORMS

from mmaffinity.datasets.transforms import CropToBodyBox

IMAGE = np.arange(30 * 40, dtype=np.uint8).reshape(30, 40)
ROW = dict(img_path='a.png', ann_file='slices.json', row=4)


def results(**more):
    return dict(img=IMAGE, img_shape=(30, 40), ori_shape=(30, 40), **ROW, **more)


def test_crop():
    transform = TRANSFORMS.build(dict(type='CropToBodyBox'))
    found = transform(results(body_box=(3, 5, 39, 27)))
    assert np.array_equal(found['img'], [[IMAGE[y, x] for x in range(3, 39)] for y in range(5, 27)])
    assert found['img_shape'] == found['ori_shape'] == (22, 36) and found['crop_box'] == (3, 5, 39, 27)
    assert repr(transform) == 'CropToBodyBox(required=True)'


def test_whole_image_is_a_valid_box():
    found = CropToBodyBox()(results(body_box=(0, 0, 40, 30)))
    assert np.array_equal(found['img'], IMAGE)


@pytest.mark.parametrize('box', [(0, 0, 41, 30), (0, 0, 40, 31), (-1, 0, 9, 9), (5, 5, 5, 9), (50, 40, 60, 50)])
def test_box_outside_the_image_is_an_error(box):
    with pytest.raises(ValueError, match=r'is empty or extends beyond a.png \(row 4 of slices.json\), which is 40 x 30 pixels'):
        CropToBodyBox()(results(body_box=box))


def test_without_a_box():
    with pytest.raises(ValueError, match=r'the slice a.png \(row 4 of slices.json\) has no body_box for CropToBodyBox'):
        CropToBodyBox()(results())
    found = CropToBodyBox(required=False)(results(body_box=None))
    assert found['img'] is IMAGE and found['ori_shape'] == (30, 40) and 'crop_box' not in found


def test_slices_with_lesions_are_rejected():
    with pytest.raises(ValueError, match=r'does not shift the lesions \(gt_bboxes\) of a.png'):
        CropToBodyBox()(results(body_box=(0, 0, 9, 9), gt_bboxes=[]))
