"""Checks of annotated lesions, each against one planted fault."""

import json

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mmaffinity.datasets.verification import verify_config


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
