import threading

import pytest

from mmaffinity.datasets.parallel import map_files


@pytest.mark.parametrize('workers', [None, 1, 3])
def test_order_and_progress(workers):
    seen = []
    result = map_files(lambda item: item * item, range(20), workers, lambda *args: seen.append(args), 'squares')
    assert result == [item * item for item in range(20)]
    assert seen == [('squares', done, 20) for done in range(1, 21)]


def test_an_error_ends_the_map():
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
