"""Reading in worker processes gives the same slices as reading in the calling process."""

import multiprocessing
import os

import numpy as np
import pytest
from scan_helpers import chest_volume, write_images, write_nifti, write_series

from mmaffinity.scans import Problem, find_scans
from mmaffinity.scans.read_ahead import MIN_SLICES, read_ahead


def plain(items):
    return [
        item if isinstance(item, Problem) else {**vars(item), 'grey': item.grey.tolist(), 'dtype': item.grey.dtype}
        for item in items
    ]


@pytest.fixture(params=['images', 'dicom', 'nifti'])
def scan(request, tmp_path):
    number = MIN_SLICES + 5
    if request.param == 'images':
        folder = write_images(tmp_path / 'in', number)
        (folder / 'slice_7.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    elif request.param == 'dicom':
        pytest.importorskip('pydicom')
        folder = write_series(tmp_path / 'in', number)
    else:
        pytest.importorskip('nibabel')
        folder = write_nifti(tmp_path / 'v.nii.gz', chest_volume(number))
    (found,) = find_scans(folder)
    return found


@pytest.mark.parametrize('workers', [1, 2, 3])
def test_the_same_slices_in_the_same_order(scan, workers):
    for done in ((), set(scan.keys()[1:3])):
        assert plain(read_ahead(scan, done, workers)) == plain(scan.read(done))


class Remembering:
    """A scan whose pixels identify the process that read them."""

    def __init__(self, scan):
        self.info, self.scan = scan.info, scan

    def keys(self):
        return self.scan.keys()

    def read(self, done):
        for index, _ in enumerate(self.scan.read(done)):
            if index == 3 and self.fails:
                raise RuntimeError('the drive is gone')
            yield os.getpid()


@pytest.fixture
def remembering(tmp_path):
    (found,) = find_scans(write_images(tmp_path / 'in', MIN_SLICES))
    wrapped = Remembering(found)
    wrapped.fails = False
    return wrapped


def test_workers_read(remembering):
    processes = list(read_ahead(remembering, workers=2))
    assert len(set(processes)) == 2 and os.getpid() not in processes
    assert set(read_ahead(remembering, workers=0)) == {os.getpid()}


def test_few_slices_are_read_without_workers(remembering):
    assert set(read_ahead(remembering, remembering.keys()[:1], workers=2)) == {os.getpid()}


def test_a_scan_that_fails_is_one_problem(remembering):
    remembering.fails = True
    *read, problem = read_ahead(remembering, workers=1)
    assert len(read) == 3 and problem == Problem('in', 'cannot be read: RuntimeError: the drive is gone', failed=True)


def test_a_reader_that_stops_early_leaves_no_process(scan):
    ahead = read_ahead(scan, workers=1)
    first = next(ahead)
    assert np.array_equal(first.grey, next(scan.read()).grey)
    ahead.close()
    assert not multiprocessing.active_children()
