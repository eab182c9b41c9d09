"""Geometry of slices in the patient."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaffinity.scans.geometry import (
    View,
    head_normal,
    radiological_view,
    slab_thickness,
    slice_spacing,
    spacing_notes,
    tilt_degrees,
)


@pytest.mark.parametrize('transpose, rows, columns', list(itertools.product((False, True), repeat=3)))
def test_view_is_invertible(transpose, rows, columns):
    view, raster = View(transpose, rows, columns), np.arange(12).reshape(3, 4)
    assert np.array_equal(view.to_stored(view.from_stored(raster)), raster)
    assert view.spacing(1.0, 2.0) == ((2.0, 1.0) if transpose else (1.0, 2.0))


@pytest.mark.parametrize('transpose, rows, columns', list(itertools.product((False, True), repeat=3)))
@pytest.mark.parametrize('turn', [0.0, 20.0])
def test_view_has_left_on_the_right_and_back_at_the_bottom(transpose, rows, columns, turn):
    # Each pixel carries its own position in the patient: x to the left, y to the back.
    angle = np.radians(turn)
    axis_y, axis_x = np.array([-np.sin(angle), np.cos(angle), 0]), np.array([np.cos(angle), np.sin(angle), 0])
    first, second = (axis_x, axis_y) if transpose else (axis_y, axis_x)
    first, second = first * (-1 if rows else 1), second * (-1 if columns else 1)
    index = np.indices((5, 7)).astype(float)
    position = index[0][..., None] * first + index[1][..., None] * second
    view = radiological_view(first, second)
    x, y = view.from_stored(position[..., 0]), view.from_stored(position[..., 1])
    assert (np.diff(x, axis=1) > 0).all() and (np.diff(y, axis=0) > 0).all()


def test_normal_points_to_the_head():
    assert head_normal((0, 1, 0), (1, 0, 0)).tolist() == [0, 0, 1]
    assert head_normal((1, 0, 0), (0, 1, 0)).tolist() == [0, 0, 1]
    tilted = head_normal((0, np.cos(0.4), np.sin(0.4)), (1, 0, 0))
    assert tilted == pytest.approx([0, -np.sin(0.4), np.cos(0.4)])


@pytest.mark.parametrize(
    'first, second, reason',
    [
        ((0, 0, -1), (1, 0, 0), 'coronal, not axial'),
        ((0, 0, -1), (0, 1, 0), 'sagittal, not axial'),
        ((0, 0.5**0.5, 0.5**0.5), (1, 0, 0), 'oblique'),
        ((0, 0, 0), (1, 0, 0), 'length 1'),
        ((0, np.nan, 0), (1, 0, 0), 'length 1'),
        ((0.9, 0.43, 0), (1, 0, 0), 'perpendicular'),
    ],
)
def test_other_planes_are_rejected(first, second, reason):
    with pytest.raises(ValueError, match=reason):
        head_normal(first, second)


def test_slabs_reach_halfway_to_the_neighbours():
    assert slab_thickness([0, 5, 10]) == [5, 5, 5]
    assert slab_thickness([0, 4, 10, 16]) == [4, 5, 6, 6]
    assert slab_thickness([10, 5, 0]) == [5, 5, 5]
    assert slab_thickness([3], 2.5) == [2.5] and slab_thickness([], 1) == []
    assert slab_thickness([0, None], 2.0) == [2.0, 2.0]
    # A gap of missing slices is not filled: it counts 7.5 (1.5 times the usual 5) at most.
    assert slab_thickness([0, 5, 10, 40, 45]) == [5, 5, 6.25, 6.25, 5]
    # Two slices at one position share their slab.
    assert slab_thickness([0, 5, 5, 10]) == [5, 2.5, 2.5, 5]
    assert slab_thickness([0, 0, 5, 5, 10, 10]) == [2.5] * 6
    assert slab_thickness([7, 7], 5) == [None, None] == slab_thickness([7, 7.01], 5)


def test_regular_spacing_needs_no_note():
    assert spacing_notes([0, 5, 10.02, 15]) == [] and spacing_notes([3]) == []
    assert slice_spacing([0, 5, 10.0]) == 5 and slice_spacing([1]) is None and slice_spacing([1, None]) is None


@pytest.mark.parametrize(
    'positions, words',
    [
        ([0, 5, 15, 20], ['about 1 slice is missing', '5.0 and 15.0 mm']),
        ([0, 5, 10, 40, 45], ['about 5 slices']),
        ([0, 5, 5, 10], ['1 of 4 slices are at the position of another']),
        ([0, 5, 11, 16], ['uneven: 5.00 to 6.00']),
        ([4, 4, 4], ['all 3 slices are at one position']),
    ],
)
def test_irregular_spacing_is_noted(positions, words):
    notes = ' '.join(spacing_notes(positions))
    assert all(word in notes for word in words)


def test_tilt():
    assert tilt_degrees(np.array([0, 0, 1.0]), (0, 0, 0), (0, 0, 50)) == 0
    assert tilt_degrees(np.array([0, 0, 1.0]), (0, 0, 0), (0, 10, 10)) == pytest.approx(45)
    assert tilt_degrees(np.array([0, 0, 1.0]), (1, 1, 1), (1, 1, 1)) == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30))
def test_slabs_are_finite_and_never_more_than_the_scan(positions):
    positions = sorted(positions)
    slabs = slab_thickness(positions, 1.0)
    assert len(slabs) == len(positions) and all(slab is None or 0 <= slab < np.inf for slab in slabs)
    if len(positions) > 1:  # the outermost slabs reach half a step outwards
        assert sum(slab or 0 for slab in slabs) <= 2 * (positions[-1] - positions[0]) + 1e-6
    assert all(isinstance(note, str) for note in spacing_notes(positions))
