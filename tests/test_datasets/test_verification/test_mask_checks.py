"""Checks of raw masks: values, sizes, and masks or images without the other."""

import shutil

import numpy as np
from verification_helpers import only


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
