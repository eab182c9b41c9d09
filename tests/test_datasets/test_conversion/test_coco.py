import re

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from mmaffinity.datasets.conversion.coco import LesionFile, annotate_mask, build_coco, lesion_components
from mmaffinity.datasets.label_masks import read_lesion_mask
from mmaffinity.utils.files import write_json_atomic


def flood_fill(lesion):
    """Split a mask by flood fill over all eight neighbours."""
    left = {(int(y), int(x)) for y, x in np.argwhere(lesion)}
    components = []
    while left:
        component, border = set(), [left.pop()]
        while border:
            y, x = border.pop()
            component.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            border += near
        components.append(component)
    return components


def pixels(component):
    return {(int(y), int(x)) for y, x in np.argwhere(component)}


@pytest.mark.parametrize('seed, density', [(0, 0.1), (1, 0.3), (2, 0.45), (3, 0.9), (4, 0.0), (5, 1.0)])
def test_components_equal_a_flood_fill(seed, density):
    lesion = np.random.default_rng(seed).random((31, 47)) < density
    for min_area in (0, 1, 5):
        expected = flood_fill(lesion)
        components, num_small = lesion_components(lesion, min_area)
        large = [component for component in expected if len(component) > min_area]
        assert sorted(map(sorted, map(pixels, components))) == sorted(map(sorted, large))
        assert num_small == len(expected) - len(large)


def test_components_come_in_reading_order():
    lesion = np.zeros((20, 20), bool)
    lesion[10:14, 0:4] = lesion[0:4, 15:19] = lesion[0:4, 3:7] = True
    assert [min(pixels(component)) for component in lesion_components(lesion, 0)[0]] == [(0, 3), (0, 15), (10, 0)]


def test_diagonal_neighbours_are_one_instance():
    mask = np.zeros((40, 40), np.uint8)
    mask[0:10, 0:10] = mask[10:20, 10:20] = 2
    annotations, num_small = annotate_mask(mask)
    assert [annotation['area'] for annotation in annotations] == [200] and num_small == 0


def test_area_must_exceed_the_threshold():
    mask = np.zeros((60, 60), np.uint8)
    mask[0:10, 0:10] = 2  # 100 pixels
    mask[20:30, 0:10] = 3
    mask[30, 0] = 3  # 101 pixels
    annotations, num_small = annotate_mask(mask, min_area=100)
    assert [annotation['area'] for annotation in annotations] == [101] and num_small == 1
    assert len(annotate_mask(mask, min_area=99).annotations) == 2


def test_lung_is_background_and_classes_can_be_merged():
    mask = np.ones((40, 40), np.uint8)
    mask[5:20, 5:20] = 2
    mask[10:22, 10:22] = 3  # inside the other and beyond it
    (merged,) = annotate_mask(mask).annotations
    assert merged['category_id'] == 1
    np.testing.assert_array_equal(mask_utils.decode(merged['segmentation']), mask >= 2)
    glass, consolidation = annotate_mask(mask, keep_classes_apart=True).annotations
    assert (glass['category_id'], consolidation['category_id']) == (1, 2)
    np.testing.assert_array_equal(mask_utils.decode(glass['segmentation']), mask == 2)
    np.testing.assert_array_equal(mask_utils.decode(consolidation['segmentation']), mask == 3)


def test_annotation_fields():
    mask = np.zeros((50, 70), np.uint8)
    mask[10:25, 30:52] = 2
    (annotation,) = annotate_mask(mask).annotations
    assert annotation['bbox'] == [30, 10, 22, 15]
    assert annotation['area'] == 22 * 15 and annotation['iscrowd'] == 0
    assert annotation['segmentation']['size'] == [50, 70] and isinstance(annotation['segmentation']['counts'], str)


@pytest.mark.parametrize('mode', ['L', 'P', 'RGB', 'RGBA', 'LA', 'I;16'])
def test_mask_modes(tmp_path, mode):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) % 4
    if mode == 'P':
        image = Image.fromarray(values).convert('P')
        image = Image.fromarray(values, 'P') if np.array(image).max() != 3 else image
        image.putpalette([9, 9, 9, 250, 0, 0, 0, 250, 0, 0, 0, 250])  # the colours do not matter
    elif mode == 'I;16':
        image = Image.fromarray(values.astype(np.uint16))
    elif mode == 'L':
        image = Image.fromarray(values)
    else:
        channels = [values] * (3 if 'RGB' in mode else 1) + [np.full_like(values, 255)] * mode.endswith('A')
        image = Image.fromarray(np.stack(channels, axis=-1))
    assert image.mode == mode
    image.save(tmp_path / 'mask.png')
    read = read_lesion_mask(tmp_path / 'mask.png')
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, values)


def test_bad_masks_are_named(tmp_path):
    path = tmp_path / 'mask.png'
    cv2.imwrite(str(path), np.uint8([[0, 1, 2, 3, 4, 255]]))
    with pytest.raises(ValueError, match=re.escape(f'the mask {path} has the values 4, 255; only 0 (background)')):
        read_lesion_mask(path)
    cv2.imwrite(str(path), np.uint16([[0, 256]]))
    with pytest.raises(ValueError, match='has the values 256;'):
        read_lesion_mask(path)
    cv2.imwrite(str(path), np.uint8([[[0, 1, 2]]]))
    with pytest.raises(ValueError, match=re.escape(f'the mask {path} has coloured pixels')):
        read_lesion_mask(path)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 4, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=re.escape(f'the mask {path} cannot be read (')):
        read_lesion_mask(path)


def write_pair(root, name, mask, image_shape=None):
    cv2.imwrite(str(root / f'{name}.png'), mask)
    cv2.imwrite(str(root / f'{name}.jpg'), np.zeros(image_shape or mask.shape, np.uint8))
    return LesionFile(f'{name}.jpg', f'{name}.png', name[:1])


def test_build_coco(tmp_path):
    lesions = np.ones((64, 48), np.uint8)
    lesions[0:12, 0:12] = 2
    lesions[30:50, 20:40] = 3
    lesions[60, 0] = 2
    none = np.ones((32, 32), np.uint8)
    files = [write_pair(tmp_path, name, mask) for name, mask in (('1a', lesions), ('1b', none), ('2a', lesions.T))]
    coco, num_small = build_coco(tmp_path, files, source='list.txt', workers=2)
    assert num_small == 2
    assert coco['categories'] == [dict(id=1, name='lesion')]
    assert coco['images'][0] == dict(id=1, file_name='1a.jpg', width=48, height=64, patient_id='1', scan_id=None)
    assert [image['file_name'] for image in coco['images']] == ['1a.jpg', '1b.jpg', '2a.jpg']
    assert [annotation['image_id'] for annotation in coco['annotations']] == [1, 1, 3, 3]
    assert [annotation['id'] for annotation in coco['annotations']] == [1, 2, 3, 4]
    # As read by pycocotools
    write_json_atomic(tmp_path / 'coco.json', coco)
    reader = COCO(str(tmp_path / 'coco.json'))
    together = sum(reader.annToMask(annotation) for annotation in reader.loadAnns(reader.getAnnIds(imgIds=[1])))
    lesions[60, 0] = 1
    np.testing.assert_array_equal(together, lesions >= 2)
    apart, _ = build_coco(tmp_path, files, keep_classes_apart=True, workers=1)
    assert apart['categories'] == [dict(id=1, name='GGO'), dict(id=2, name='Consolidation')]
    assert [annotation['category_id'] for annotation in apart['annotations']] == [1, 2, 1, 2]


def test_build_coco_errors(tmp_path):
    mask = np.ones((8, 6), np.uint8)
    file = write_pair(tmp_path, '1a', mask, image_shape=(8, 7))
    with pytest.raises(ValueError) as info:
        build_coco(tmp_path, [file])
    assert str(info.value).startswith(f'the mask {tmp_path}/1a.png is 6 x 8 pixels, but its image {tmp_path}/1a.jpg is 7 x 8')
    with pytest.raises(ValueError, match='the minimum area is -1 pixels; it must not be negative'):
        build_coco(tmp_path, [file], min_area=-1)
    with pytest.raises(ValueError, match='the number of workers is 0; it must be at least 1'):
        build_coco(tmp_path, [file], workers=0)
    file = write_pair(tmp_path, '1b', mask)
    (tmp_path / '1b.jpg').write_text('<html>not found</html>')
    with pytest.raises(ValueError, match='1b.jpg'):
        build_coco(tmp_path, [file])
