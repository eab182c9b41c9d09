"""Scans as slices and problems: what is read, in which order, and what is rejected."""

import numpy as np
import pytest

from mmaffinity.scans import ReadOptions
from mmaffinity.scans.geometry import View
from mmaffinity.scans.items import Scan, ScanInfo, Slice, check_side


@pytest.mark.parametrize('max_value', [0, -1, 65536])
def test_invalid_max_value(max_value):
    with pytest.raises(ValueError, match=f'max_value={max_value} must be within 1..65535'):
        ReadOptions(max_value=max_value)


def test_invalid_rescale():
    for rescale in ((0, 1), (float('nan'), 0), (1, float('inf'))):
        with pytest.raises(ValueError, match='slope and intercept must be finite, and the slope not 0'):
            ReadOptions(rescale=rescale)


@pytest.mark.parametrize('rows, columns, words', [(31, 512, 'too small'), (512, 31, 'too small'), (4097, 4096, 'too large')])
def test_images_that_are_no_slices(rows, columns, words):
    with pytest.raises(ValueError, match=f'is {rows} x {columns} pixels, {words}'):
        check_side(rows, columns)


def test_the_smallest_and_largest_slices():
    check_side(32, 32), check_side(4096, 4096), check_side(32, 2**19)


class ListScan(Scan):
    """Hounsfield units or errors, in the given order of slices; an error without a number ends the scan."""

    view = View(transpose=True, flip_rows=True)

    def __init__(self, *found, **info):
        super().__init__(ScanInfo('name', 'folder', 'dicom', 4, spacing=(0.8, 0.7), **info), ReadOptions())
        self.found = found

    def keys(self):
        return [f'key {index}' for index in range(4)]

    def slice_name(self, index):
        return f'slice {index}'

    def place(self, index):
        return 5.0 * index, 2.5

    def _pixels(self, wanted):
        for index, values in self.found:
            if index is None:
                raise values
            if index in wanted:
                yield index, values, (f'note {index}',)


LEVELS = [np.full((32, 32), value) for value in (-1350.0, -600.0, 150.0, -600.0)]


def test_slices_are_grey_levels_with_what_is_known():
    scan = ListScan(*enumerate(LEVELS))
    slices = list(scan.read())
    assert [(item.name, item.key, item.index, item.position) for item in slices] == [
        (f'slice {index}', f'key {index}', index, 5.0 * index) for index in range(4)
    ]
    assert [int(item.grey[0, 0]) for item in slices[1:]] == [128, 255, 128] and slices[0].grey.dtype == np.uint8
    first = slices[0]
    assert (first.spacing, first.thickness, first.window, first.view) == ((0.8, 0.7), 2.5, scan.window, scan.view)
    assert first.notes[0] == 'note 0' and scan.identity == 'dicom|folder|name'
    assert [item.index for item in scan.read({'key 0', 'key 2'})] == [1, 3]


def test_slice_that_cannot_be_read_does_not_stop_the_others():
    scan = ListScan((0, LEVELS[1]), (1, ValueError('is damaged')), (2, np.full((32, 32), np.nan)), (3, LEVELS[1]))
    first, second, third, last = scan.read()
    assert (first.index, last.index) == (0, 3)
    assert (second.source, second.reason, second.key) == ('slice 1', 'is damaged', 'key 1')
    assert third.key == 'key 2' and 'has no finite value' in third.reason and not third.failed
    assert str(second) == 'slice 1: is damaged'
    assert [(index, values.shape) for index, values in scan.values([1, 3])] == [(3, (32, 32))]


@pytest.mark.parametrize('error, reason', [(ValueError('is truncated'), 'is truncated'), (MemoryError(), 'MemoryError')])
def test_remaining_slices_of_a_truncated_file_have_its_reason(error, reason):
    found = list(ListScan((0, LEVELS[1]), (None, error)).read({'key 2'}))
    assert isinstance(found[0], Slice) and found[0].index == 0
    assert [(item.source, item.reason, item.key) for item in found[1:]] == [
        ('slice 1', reason, 'key 1'),
        ('slice 3', reason, 'key 3'),
    ]


def test_masks_return_to_the_stored_raster():
    stored = np.arange(6).reshape(2, 3)
    shown = np.array([[2, 5], [1, 4], [0, 3]])  # transposed, then upside down
    assert np.array_equal(ListScan.view.from_stored(stored), shown)
    assert np.array_equal(ListScan().stored_masks(0, shown), stored)
