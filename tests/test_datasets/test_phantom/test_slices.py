"""Slices of the phantom: deterministic, scaled, and of classes that differ as intended."""

import numpy as np
import pytest

from mmaffinity.datasets.phantom.patient import make_patient
from mmaffinity.datasets.phantom.slices import ICTCF_SCANNER, draw_slice


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


def test_grey_levels_match_a_lung_window():
    """Window -600/1500 HU: air at 60, lung near 80, soft tissue near 235, bone white, black corners."""
    image, mask = draw_slice(make_patient(0, 0, 0), 0.6, 256)
    assert abs(np.median(image[10:20, 110:146]) - (-1000 + 1350) / 1500 * 255) < 3
    assert 70 <= np.median(image[mask == 1]) <= 95
    assert 225 <= np.median(image[110:125, 135:150]) <= 245  # heart
    assert (image == 255).mean() > 0.01
    assert image[0, 0] == 0
    assert image[110:125, 135:150].std() > 1  # noise, not flat


def test_second_scanner_looks_different():
    patient = make_patient(0, 0, 0)
    first, second = draw_slice(patient, 0.6, 128)[0], draw_slice(patient, 0.6, 128, ICTCF_SCANNER)[0]
    assert first[0, 0] == 0 and second[0, 0] > 10
    assert abs(first.mean() - second.mean()) > 5


@pytest.mark.parametrize(
    'call',
    [
        lambda: draw_slice(make_patient(0, 0, 0), 1.2, 64),
        lambda: draw_slice(make_patient(0, 0, 0), 0.5, 63),
    ],
)
def test_invalid_slice_arguments(call):
    with pytest.raises(ValueError, match='must'):
        call()
