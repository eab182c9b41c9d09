"""Slices of the phantom: deterministic, scaled, and of classes that differ as intended."""

from collections import defaultdict

import cv2
import numpy as np
import pytest
from scipy import ndimage

from mmaffinity.datasets.phantom import (
    ICTCF_SCANNER,
    draw_slice,
    make_patient,
)

LEVELS = (0.2, 0.5, 0.8)


@pytest.mark.parametrize('label', [0, 1, 2])
@pytest.mark.parametrize('size', [64, 128, 200])
def test_slice_types_and_mask_values(label, size):
    image, mask = draw_slice(make_patient(0, 5, label), 0.6, size)
    assert image.shape == mask.shape == (size, size)
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1, 2, 3}
    assert (mask == 1).any()
    assert (mask > 1).any() == (label > 0)


def test_slice_is_deterministic_and_seeds_differ():
    first = draw_slice(make_patient(1, 2, 2), 0.5, 128)
    again = draw_slice(make_patient(1, 2, 2), 0.5, 128)
    other = draw_slice(make_patient(2, 2, 2), 0.5, 128)
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_disease_does_not_change_the_anatomy():
    """Outside the lesions, a patient with COVID-19 equals the same healthy patient pixel by pixel."""
    patient = make_patient(4, 1, 2)
    ill, mask = draw_slice(patient, 0.6, 256)
    well, clean = draw_slice(patient, 0.6, 256, lesions=False)
    healthy, normal = draw_slice(make_patient(4, 1, 0), 0.6, 256)
    assert np.array_equal(well, healthy) and np.array_equal(clean, normal)
    assert np.array_equal(mask > 0, clean > 0)  # lesions are inside the lungs
    far = ndimage.distance_transform_edt(mask < 2) > 6
    assert np.array_equal(ill[far], well[far])
    # The slice is brighter within them, so the mask matches the drawing.
    brighter = ill.astype(int) - well
    assert np.median(brighter[mask == 2]) > 25
    assert np.percentile(brighter[ndimage.binary_erosion(mask == 2, iterations=2)], 2) > -5


def test_grey_levels_match_a_lung_window():
    """Window -600/1500 HU: air at 60, lung near 80, soft tissue near 235, bone white, black corners."""
    image, mask = draw_slice(make_patient(0, 0, 0), 0.6, 256)
    assert abs(np.median(image[10:20, 110:146]) - (-1000 + 1350) / 1500 * 255) < 3
    assert 70 <= np.median(image[mask == 1]) <= 95
    assert 225 <= np.median(image[110:125, 135:150]) <= 245  # heart
    assert (image == 255).mean() > 0.01
    assert image[0, 0] == 0
    assert image[110:125, 135:150].std() > 1  # noise, not flat


def test_neighbouring_slices_show_the_same_lesions():
    patient = make_patient(0, 3, 1)
    masks = [draw_slice(patient, level, 128)[1] > 1 for level in (0.50, 0.53)]
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.5


def test_anatomy_scales_with_image_size():
    patient = make_patient(0, 6, 2)
    small, large = (draw_slice(patient, 0.6, size)[1] for size in (128, 256))
    shrunk = cv2.resize((large > 1).astype(np.uint8), (128, 128), interpolation=cv2.INTER_AREA)
    assert ((small > 1) & (shrunk > 0)).sum() / ((small > 1) | (shrunk > 0)).sum() > 0.8


def test_second_scanner_looks_different():
    patient = make_patient(0, 0, 0)
    first, second = draw_slice(patient, 0.6, 128)[0], draw_slice(patient, 0.6, 128, ICTCF_SCANNER)[0]
    assert first[0, 0] == 0 and second[0, 0] > 10
    assert abs(first.mean() - second.mean()) > 5


def test_classes_differ_in_pattern():
    """CP: few, dense, mostly one-sided, deep; COVID-19: many, ground glass, two-sided, under the pleura."""
    dense, two_sided, count, rim = (defaultdict(list) for _ in range(4))
    for label in (1, 2):
        for number in range(8):
            patient = make_patient(11, number, label)
            for level in LEVELS:
                mask = draw_slice(patient, level, 128)[1]
                lesion = mask > 1
                dense[label].append((mask == 3).sum() / lesion.sum())
                columns = np.flatnonzero(lesion.any(0))
                two_sided[label].append(columns[0] < 60 and columns[-1] > 68)
                count[label].append(ndimage.label(lesion, np.ones((3, 3)))[1])
                inside = ndimage.distance_transform_edt(mask > 0)
                rim[label].append(inside[lesion].mean() / inside.max())
    assert min(dense[1]) > 0.4 > np.mean(dense[2])
    assert np.mean(two_sided[1]) < 0.4 and np.mean(two_sided[2]) > 0.95
    assert np.mean(count[1]) < 2 and np.mean(count[2]) >= 3
    assert np.mean(rim[1]) > 1.4 * np.mean(rim[2])


def test_lesions_exceed_the_minimum_area_of_the_converters():
    """Components of at most 100 pixels are dropped: at 256 x 256, the demo's size, there are none."""
    for number in range(8):
        _, mask = draw_slice(make_patient(5, number, 1 + number % 2), 0.3 + 0.07 * number, 256)
        labels, count = ndimage.label(mask > 1, np.ones((3, 3)))
        assert count and min(ndimage.sum_labels(mask > 1, labels, range(1, count + 1))) > 100


@pytest.mark.parametrize(
    'call',
    [
        lambda: make_patient(-1, 0, 0),
        lambda: make_patient(0, -1, 0),
        lambda: make_patient(0, 0, 3),
        lambda: draw_slice(make_patient(0, 0, 0), 1.2, 64),
        lambda: draw_slice(make_patient(0, 0, 0), 0.5, 63),
    ],
)
def test_invalid_slice_arguments(call):
    with pytest.raises(ValueError, match='must'):
        call()
