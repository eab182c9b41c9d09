"""The cores that a process may use."""

import os

import pytest

from mmaffinity.utils.cores import available_cores


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='this system does not bind processes to cores')
def test_cores_that_the_process_may_not_use_are_not_counted():
    allowed = os.sched_getaffinity(0)
    assert available_cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_systems_without_affinities_count_all_cores(monkeypatch):
    monkeypatch.delattr(os, 'sched_getaffinity', raising=False)
    for found, expected in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, 'cpu_count', lambda found=found: found)
        assert available_cores() == expected
