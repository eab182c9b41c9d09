"""Images with identical or near-identical pixels under different names."""

import shutil

import cv2
import numpy as np
import pytest
from verification_helpers import only

from mmaffinity.datasets.verification.near import Near


def test_identical_slice_under_another_name_and_in_another_format(bench):
    cv2.imwrite(str(bench.root / 'slices/test_0.png'), bench.read('slices/train_0.png'), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert (bench.root / 'slices/test_0.png').read_bytes() != (bench.root / 'slices/train_0.png').read_bytes()
    (finding,) = only(bench.verify(), 'identical-slices')
    assert finding.items == [dict(train='slices/train_0.png', test='slices/test_0.png')]
    assert finding.severity == 'failure' and 'slices/train_0.png = slices/test_0.png' in finding.message


def test_identical_across_tasks(bench):
    """A lesion training slice among the slices of the classification test."""
    shutil.copy(bench.root / 'ct_lesion_seg/image/0/slice1.png', bench.root / 'slices/test_0.png')
    assert only(bench.verify(), 'identical-slices')[0].count == 1


@pytest.mark.parametrize(
    'alter',
    [
        lambda image: cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], 0),
        lambda image: np.clip(image * 0.8 + 20, 0, 255).astype(np.uint8),
        lambda image: cv2.flip(cv2.flip(image, 1), 1) ^ np.eye(48, dtype=np.uint8),
    ],
    ids=['recoded', 'brightness', 'a few pixels'],
)
def test_near_identical_slice(bench, alter):
    bench.write('slices/test_0.png', alter(bench.read('slices/train_0.png')))
    report = bench.verify()
    (finding,) = only(report, 'near-identical-slices')
    assert report.passed and finding.severity == 'warning' and finding.count == 1
    (item,) = finding.items
    assert (item['train'], item['test']) == ('slices/train_0.png', 'slices/test_0.png')
    assert 0 <= item['bits'] <= 6 and 0.995 <= item['correlation'] <= 1
    only(bench.verify(near=Near(correlation=1.0)))


def test_repeated_slices_and_conflicting_labels(bench):
    shutil.copy(bench.root / 'slices/train_0.png', bench.root / 'slices/train_2.png')  # same label
    (finding,) = only(bench.verify(), 'repeated-slices')
    assert finding.items == [['slices/train_0.png', 'slices/train_2.png']]
    shutil.copy(bench.root / 'slices/train_0.png', bench.root / 'slices/train_1.png')  # another
    found = only(bench.verify(), 'repeated-slices', 'conflicting-labels')
    assert found[0].check == 'conflicting-labels' and found[0].severity == 'failure'
    assert found[0].items == [{'Normal': 'train: slices/train_0.png', 'COVID-19': 'train: slices/train_1.png'}]
