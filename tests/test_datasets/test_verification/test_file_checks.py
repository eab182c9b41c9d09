"""Checks of files: missing, damaged, or unlike the rest of their data set."""

import re

import cv2
import numpy as np
import pytest
from verification_helpers import only


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


def test_blank_slices_are_not_duplicates(bench):
    for split in ('train', 'test'):
        bench.write(f'slices/{split}_0.png', np.full((48, 48), 7, np.uint8))
    found = only(bench.verify(), 'blank-slices')
    assert [finding.items for finding in found] == [
        [dict(file=f'slices/{split}_0.png', level=7)] for split in ('train', 'test')
    ]
