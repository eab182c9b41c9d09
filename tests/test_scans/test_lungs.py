"""The simple lung mask."""

import numpy as np
import pytest
from scan_helpers import chest, to_grey

from mmaffinity.scans.lungs import METHOD, simple_lung_mask
from mmaffinity.scans.windowing import Window


def test_only_the_lungs_are_segmented():
    hu = chest(size=256)
    mask = simple_lung_mask(to_grey(hu), Window())
    assert np.array_equal(mask, hu == -820) and 'approximate' in METHOD


def test_lesions_count_as_lung():
    hu = chest(size=256)
    lesion = hu == -200
    assert np.array_equal(simple_lung_mask(to_grey(hu), Window(), lesion), (hu == -820) | lesion)


def test_air_below_the_table_is_not_lung():
    hu = chest(size=256)
    hu[240:243] = 300  # a line below the body
    assert np.array_equal(simple_lung_mask(to_grey(hu), Window()), hu == -820)


@pytest.mark.parametrize('grey', [np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8)])
def test_no_mask_without_lungs(grey):
    assert simple_lung_mask(grey, Window()) is None


def test_no_mask_for_a_slice_cropped_to_the_lungs():
    hu = np.full((64, 64), -800.0)
    hu[20:30, 20:30] = 40
    assert simple_lung_mask(to_grey(hu), Window()) is None


def test_no_mask_if_the_window_excludes_the_limit():
    assert simple_lung_mask(to_grey(chest()), Window(127.5, 255)) is None
