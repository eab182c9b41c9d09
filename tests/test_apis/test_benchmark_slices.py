"""The phantom slices used for timing, checked with scipy's connected components."""

import numpy as np
from scipy import ndimage

from mmaffinity.apis.benchmark_slices import MIN_LESION_AREA, phantom_sample, phantom_slice
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION

SIZE = (256, 224)  # width, height


def test_a_slice_has_the_size_of_the_model_and_lesions():
    grey, mask = phantom_slice(0, SIZE)
    assert grey.shape == mask.shape == SIZE[::-1] and grey.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) > {0, 1} and grey.std() > 20
    other, _ = phantom_slice(1, SIZE)
    assert (grey != other).any()


def test_the_sample_has_the_large_lesions_of_the_mask():
    _, mask = phantom_slice(0, SIZE)
    instances = phantom_sample(SEGMENTATION, SIZE, mask).gt_instances
    parts, number = ndimage.label(mask >= 2, np.ones((3, 3)))
    large = [part for part in range(1, number + 1) if (parts == part).sum() > MIN_LESION_AREA]
    assert len(instances) == len(large) > 0
    assert instances.masks.masks.sum(0).tolist() == np.isin(parts, large).astype(int).tolist()
    for (x1, y1, x2, y2), lesion in zip(instances.bboxes.int().tolist(), instances.masks.masks):
        rows, columns = np.nonzero(lesion)
        assert (x1, y1, x2, y2) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_a_slice_to_classify_has_no_lesions():
    sample = phantom_sample(CLASSIFICATION, SIZE)
    assert 'gt_instances' not in sample and sample.gt_slice.label.tolist() == [1] and sample.img_shape == SIZE[::-1]
