"""Hounsfield units to grey levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scan_helpers import chest, to_grey

from mmaffinity.scans.windowing import AIR, Window


def test_default_window_is_that_of_training():
    # -600 HU is 127.5, which rounds to the even neighbour; air is 59.5.
    grey, notes = Window().apply(np.array([[-1000.0, -600, 150], [151, 3000, -1023]]))
    assert grey.tolist() == [[60, 128, 255], [255, 255, 56]]
    assert grey.dtype == np.uint8 and notes == ()


def test_agrees_with_interpolation():
    hu = np.maximum(chest(), -1024)
    for level, width in ((-600, 1500), (40, 400), (0, 4000.5)):
        assert np.array_equal(Window(level, width).apply(hu)[0], to_grey(hu, level, width))


def test_identity():
    values = np.arange(256.0).reshape(16, 16)
    assert np.array_equal(Window(127.5, 255).apply(values)[0], values)


def test_padding_becomes_air():
    air = Window().apply(np.full((1, 1), AIR))[0][0, 0]
    grey, notes = Window().apply(np.array([[-2000.0, -3024, np.nan, np.inf, -np.inf, 0]]))
    assert grey[0, :5].tolist() == [air] * 5 and grey[0, 5] > air
    assert notes == ('3 pixels are NaN or infinite and were treated as air',)


def test_slice_without_finite_values_is_rejected():
    with pytest.raises(ValueError, match='no finite value'):
        Window().apply(np.full((4, 4), np.nan))


@pytest.mark.parametrize('level, width', [(0, 0), (0, -1), (np.nan, 1), (0, np.inf)])
def test_invalid_window_is_rejected(level, width):
    with pytest.raises(ValueError, match='window'):
        Window(level, width)


@settings(deadline=None, max_examples=50)
@given(
    arrays(np.float64, (5, 5), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.floats(-2000, 2000),
    st.floats(0.5, 5000),
)
def test_grey_levels_are_monotonic(hu, level, width):
    hu[0, 0] = 0
    window = Window(level, width)
    grey, notes = window.apply(hu)
    assert grey.dtype == np.uint8 and grey.shape == hu.shape
    assert bool(notes) == (not np.isfinite(hu).all())
    seen = np.isfinite(hu) & (hu >= -1024)
    order = np.argsort(hu[seen], kind='stable')
    assert (np.diff(grey[seen][order].astype(int)) >= 0).all()
    assert abs(window.grey(0) - int(grey[0, 0])) <= 0.5 + 1e-6
