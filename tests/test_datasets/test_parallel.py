import threading
import warnings

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.parallel import map_files
from mmaffinity.utils.decoding import read_slice


@pytest.mark.parametrize('workers', [None, 1, 3])
def test_order_and_progress(workers):
    seen = []
    result = map_files(lambda item: item * item, range(20), workers, lambda *args: seen.append(args), 'squares')
    assert result == [item * item for item in range(20)]
    assert seen == [('squares', done, 20) for done in range(1, 21)]


def test_error_stops_the_map():
    started = []
    gate = threading.Event()

    def fail_at_first(item):
        started.append(item)
        if item == 0:
            raise ValueError('item 0 is bad')
        gate.wait(0.01)

    with pytest.raises(ValueError, match='item 0 is bad'):
        map_files(fail_at_first, range(10000), workers=2)
    assert len(started) < 1000


def test_warning_filters_are_restored_across_threads():
    before = list(warnings.filters)
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def silenced(item):
        if item == 1:
            first_in.wait(10)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            (first_in, second_in)[item].set()
            (second_in, first_out)[item].wait(10)
        first_out.set()

    map_files(silenced, [0, 1], workers=2)
    assert warnings.filters == before


def test_warnings_are_not_lost_across_threads(tmp_path):
    paths = [tmp_path / f'{number}.tif' for number in range(30)]
    for number, path in enumerate(paths):  # each with another peak, and thus another text
        cv2.imwrite(str(path), np.arange(256 * 256, dtype=np.uint16).reshape(256, 256) % np.uint16(4000 + number))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        map_files(read_slice, paths, workers=8)
    assert sum('is too dark' in str(warning.message) for warning in seen) == len(paths)
