"""Verification of file contents: images, lesions, masks."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_utils
from verification_helpers import only

from mmaffinity.datasets.verification import verify_config


def test_missing_and_corrupt_files(bench):
    (bench.root / 'slices/val_1.png').unlink()
    content = (bench.root / 'slices/test_3.png').read_bytes()
    (bench.root / 'slices/test_3.png').write_bytes(content[:-30])
    report = bench.verify()
    missing, corrupt = only(report, 'missing-files', 'corrupt-files')
    assert missing.items == ['slices/val_1.png'] and str(bench.root) in missing.message
    assert corrupt.items == [dict(file='slices/test_3.png', error=corrupt.items[0]['error'])]
    assert 'truncated PNG' in corrupt.message and not report.passed
    prints = {row['name']: row['content_sha256'] for row in report.datasets}
    assert prints['val (annotations/slices_val.json)'] is None  # there is no such data set
    assert prints['test (annotations/slices_test.json)'] is None
    assert re.fullmatch('[0-9a-f]{64}', prints['train (annotations/slices_train.json)'])


def test_sizes(bench):
    bench.write('slices/train_0.png', cv2.resize(bench.read('slices/train_0.png'), (40, 44)))
    (finding,) = only(bench.verify(), 'sizes')
    assert finding.items == [dict(file='slices/train_0.png', width=40, height=44)]
    assert 'slices/train_0.png is 40 x 44' in finding.message


def test_annotated_size(bench):
    name = 'ct_lesion_seg/image/0/slice1.png'
    bench.write(name, cv2.resize(bench.read(name), (48, 40)))
    found = only(bench.verify(), 'annotated-sizes', 'sizes', 'mask-files')  # one fault, found by three checks
    assert found[0].check == 'annotated-sizes' and 'is 48 x 40, annotated as 48 x 48' in found[0].message


def test_body_boxes(bench):
    boxes = [[0, 0, 48, 48], [1, 2, 49, 48], [1, 2, 48, 50], None]
    for row, box in zip(bench.slices['train'], boxes, strict=True):
        row['body_box'] = box
    (finding,) = only(bench.verify(), 'body-boxes')
    assert finding.items == [
        dict(file=f'slices/train_{index}.png', width=48, height=48, body_box=boxes[index]) for index in (1, 2)
    ]
    assert '[1, 2, 49, 48] of slices/train_1.png, which is 48 x 48' in finding.message and finding.severity == 'warning'


def test_bit_depths(bench):
    dark = bench.read('slices/train_0.png').astype(np.uint16) * 16
    bench.write('slices/train_0.png', dark)
    mixed, nearly_black = only(bench.verify(), 'bit-depths')
    assert 'has 16 bits' in mixed.message and 'train_0.png' in mixed.message and 'max_value=4095' in nearly_black.message
    bench.loading['max_value'] = 4095
    assert len(only(bench.verify(), 'bit-depths')) == 1
    bench.loading['max_value'] = int(dark.max()) - 1
    above = only(bench.verify(), 'bit-depths', 'above-white')[0]
    assert above.check == 'above-white' and above.items == [dict(file='slices/train_0.png', high=int(dark.max()))]


@pytest.mark.parametrize(
    'peak, dark',
    [(200, True), (4095, True), (5000, True), (16384, True), (30000, True), (49151, True), (49152, False), (65535, False)],
)
def test_slices_far_below_white(bench, peak, dark):
    """Content of 12, 13 or 14 bits in 16; 5000 is the peak of a published set."""
    image = bench.read('slices/train_0.png').astype(np.float64)
    bench.write('slices/train_0.png', np.round(image * (peak / image.max())).astype(np.uint16))
    found = [finding for finding in bench.verify().findings if 'far below white (65535)' in finding.message]
    assert len(found) == dark
    if dark:
        assert f'slices/train_0.png: {peak}' in found[0].message and '--max-value' in found[0].message
        assert found[0].severity == 'warning' and found[0].items == [dict(file='slices/train_0.png', high=peak)]
        bench.loading['max_value'] = peak
        assert not [finding for finding in bench.verify().findings if 'far below white' in finding.message]


@pytest.mark.parametrize(
    'change, warned',
    [
        ({}, False),
        (dict(area=None), False),
        (dict(bbox=None), False),
        (dict(area=0), True),
        (dict(area=-3), True),
        (dict(area=float('nan')), True),
        (dict(area='many'), True),
    ],
)
def test_area_and_box_must_match_the_mask(bench, change, warned):
    annotation = bench.lesions['test']['annotations'][1]
    annotation.update(change)
    for key in [key for key, value in change.items() if value is None]:
        del annotation[key]
    size = annotation['segmentation']['size']
    annotation['segmentation']['size'] = [float(side) for side in size]
    report = bench.verify()
    assert report.passed and [finding.check for finding in report.findings] == ['boxes-and-masks'] * warned


def test_blank_slices_are_not_duplicates(bench):
    for split in ('train', 'test'):
        bench.write(f'slices/{split}_0.png', np.full((48, 48), 7, np.uint8))
    found = only(bench.verify(), 'blank-slices')
    assert [finding.items for finding in found] == [
        [dict(file=f'slices/{split}_0.png', level=7)] for split in ('train', 'test')
    ]


@pytest.mark.parametrize(
    'change, check, words',
    [
        (dict(bbox=[30.0, 10.0, 30.0, 20.0]), 'lesions-outside', '(30, 10) to (60, 30) in an image of 48 x 48'),
        (dict(bbox=[-8.0, 10.0, 10.0, 20.0]), 'lesions-outside', '(-8, 10)'),
        (dict(bbox=[12.0, 10.0, 0.0, 20.0]), 'broken-annotations', '0 wide'),
        (dict(bbox=[12.0, 10.0, 30.0, 20.0]), 'boxes-and-masks', 'that of its mask [12, 10, 10, 20]'),
        (
            dict(bbox=[10.0, 10.0, 20.0, 30.0], segmentation=[[10, 10, 20, 10, 20, 30, 10, 30]]),
            'boxes-and-masks',
            'that of its mask',
        ),
        (
            dict(bbox=[0.1, 0.1, 0.1, 0.2], segmentation=[[0.1, 0.1, 0.2, 0.1, 0.2, 0.3]]),
            'broken-annotations',
            'coordinates must be in pixels',
        ),
        (dict(area=150), 'boxes-and-masks', 'its area is 150, that of its mask 200'),
        (dict(segmentation=dict(size=[48, 48], counts=[100, 200])), 'broken-annotations', 'add up to 300'),
        (dict(segmentation=dict(size=[48, 48], counts='~~~')), 'broken-annotations', 'not run lengths'),
        (dict(segmentation=dict(size=[48, 48], counts=[48 * 48])), 'broken-annotations', 'its mask is empty'),
        (dict(segmentation=[[12, 10, 22, 10, 60, 30]]), 'lesions-outside', 'outline extends'),
        (dict(segmentation=[[12, 10]]), 'broken-annotations', 'three or more points'),
        (dict(segmentation=None), 'broken-annotations', 'no mask'),
    ],
    ids=str,
)
def test_lesions(bench, change, check, words):
    bench.lesions['test']['annotations'][1].update(change)
    found = bench.verify().findings
    finding = next(finding for finding in found if finding.check == check)
    assert finding.count == 1 and words in finding.message
    assert 'annotations[1] of ct_lesion_seg/image/11/slice1.png' in finding.message
    # A box outside the image or without width does not match its mask either; the data set may reject the file.
    assert {finding.check for finding in found} <= {check, 'boxes-and-masks', 'unreadable-lists'}


def test_mask_of_another_picture(bench):
    mask = np.zeros((60, 60), np.uint8)
    mask[10:30, 12:22] = 1
    rle = mask_utils.encode(np.asfortranarray(mask))
    bench.lesions['train']['annotations'][0]['segmentation'] = dict(size=[60, 60], counts=rle['counts'].decode())
    (finding,) = [finding for finding in bench.verify().findings if finding.check == 'lesions-outside']
    assert 'its mask is for an image of 60 x 60, not 48 x 48' in finding.message


def test_every_broken_lesion_is_named(bench):
    """A data set stops at the first; here they are counted, over the whole file."""
    for annotation in bench.lesions['train']['annotations']:
        annotation['segmentation'] = dict(size=[48, 48], counts=[5])
    found = {finding.check: finding for finding in bench.verify().findings}
    assert set(found) == {'broken-annotations', 'unreadable-lists'} and found['broken-annotations'].count == 2


@pytest.mark.parametrize(
    'content',
    [
        [],
        dict(images=3, annotations=None),
        dict(images=[3, dict(id=[])], annotations=[7]),
        dict(images=[dict(id=1)], annotations=[dict(image_id=1, bbox=[10**400] * 4)]),
    ],
    ids=str,
)
def test_lesion_file_of_any_content(bench, content):
    config = bench.config()
    (bench.root / 'annotations/lesions_train.json').write_text(json.dumps(content))
    report = verify_config(config, workers=0)
    assert {finding.check for finding in report.findings} <= {'unreadable-lists', 'broken-annotations', 'lesions-outside'}
    assert len(report.of('failure')) >= 1


def test_lesion_dropped_by_the_data_set_is_reported(bench):
    """A box wholly outside leaves its slice without lesions, which training leaves out: the file is checked itself."""
    bench.lesions['train']['annotations'][0]['bbox'] = [100.0, 100.0, 10.0, 20.0]
    found = bench.verify()
    assert next(row for row in found.datasets if 'lesions_train' in row['name'])['num'] == 1
    assert 'lesions-outside' in {finding.check for finding in found.findings}


def test_raw_masks(bench):
    mask = bench.read('ct_lesion_seg/mask/0/slice1.png')
    mask[0, 0] = 9
    bench.write('ct_lesion_seg/mask/0/slice1.png', mask)
    (finding,) = only(bench.verify(), 'mask-values')
    assert 'mask/0/slice1.png' in finding.message and 'has the values 9' in finding.message
    (bench.root / 'ct_lesion_seg/mask/0/slice1.png').write_bytes(b'no image')
    assert 'cannot be read' in only(bench.verify(), 'mask-files')[0].message
    bench.write('ct_lesion_seg/mask/0/slice1.png', np.zeros((48, 40), np.uint8))
    assert 'is 40 x 48, its image 48 x 48' in only(bench.verify(), 'mask-files')[0].message


def test_masks_without_image_and_images_without_mask(bench):
    bench.write('ct_lesion_seg/mask/77/slice1.png', np.zeros((48, 48), np.uint8))
    report = bench.verify()
    assert report.passed and only(report, 'mask-without-image')[0].items == ['ct_lesion_seg/mask/77/slice1.png']
    shutil.rmtree(bench.root / 'ct_lesion_seg/mask/77')
    bench.draw('ct_lesion_seg/image/78/slice1.png', 78)
    report = bench.verify()
    assert report.passed and only(report, 'image-without-mask')[0].items == ['ct_lesion_seg/image/78/slice1.png']
    (bench.root / 'ct_lesion_seg/mask/10/slice1.png').unlink()  # of a slice in the test list
    report = bench.verify()
    (finding,) = only(report, 'image-without-mask')
    assert not report.passed and finding.count == 2 and '1 image is in a list (ct_lesion_seg/image/10/' in finding.message
