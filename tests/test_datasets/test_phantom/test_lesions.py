"""Lesions of the phantom: of two patterns, the same in neighbouring slices, and inside the lungs."""

from collections import defaultdict

import numpy as np
from scipy import ndimage

from mmaffinity.datasets.phantom.lesions import lesions_at
from mmaffinity.datasets.phantom.patient import make_patient
from mmaffinity.datasets.phantom.slices import draw_slice

LEVELS = (0.2, 0.5, 0.8)


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


def test_neighbouring_slices_show_the_same_lesions():
    patient = make_patient(0, 3, 1)
    masks = [draw_slice(patient, level, 128)[1] > 1 for level in (0.50, 0.53)]
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.5


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


def test_disease_is_visible_at_every_level():
    """Common pneumonia in one lesion at least, COVID-19 in both lungs."""
    for number in range(8):
        for level in np.linspace(0, 1, 21):
            assert lesions_at(make_patient(6, number, 1), level)
            assert {lesion.side for lesion, _ in lesions_at(make_patient(6, number, 2), level)} == {-1, 1}
    assert lesions_at(make_patient(6, 0, 0), 0.5) == []


def test_lesions_that_reach_a_level_have_their_own_radius_there():
    patient = make_patient(6, 1, 1)
    lesion = patient.lesions[0]
    found = dict((one.key, radius) for one, radius in lesions_at(patient, lesion.level))
    assert found[lesion.key] == lesion.radius
