"""Clocks, counters and the unit of speed."""

import time

import pytest
import torch

from mmaffinity.utils.timing import available_cores, count_gflop, hardware, matrix_product_gflops, measure, threads


def test_medians_without_the_warmup():
    sleeps = iter([0.2, 0.2, 0.01, 0.05, 0.01, 0.01, 0.01])
    timing = measure(lambda: time.sleep(next(sleeps)), runs=5, warmup=2)
    assert timing.runs == 5 and next(sleeps, None) is None
    assert 0.01 <= timing.fastest <= timing.seconds < 0.05
    assert timing.cpu_seconds < 0.01


def test_peak_memory_is_that_of_the_job():
    if measure(lambda: None, 1).peak_memory is None:
        pytest.skip('the system does not tell the peak memory of a process')
    small = measure(lambda: None, 1, 0).peak_memory
    large = measure(lambda: torch.ones(200 * 2**18).sum(), 1, 0).peak_memory
    assert 150 < large - small < 300
    assert measure(lambda: None, 1, 0).peak_memory < large - 100  # the mark starts anew


def test_gflop_of_products_and_convolutions():
    x, y = torch.randn(300, 400), torch.randn(400, 500)
    assert count_gflop(lambda: x @ y) == pytest.approx(2 * 300 * 400 * 500 / 1e9)
    image, kernel = torch.randn(1, 8, 16, 16), torch.randn(4, 8, 3, 3)
    expected = 2 * 4 * 8 * 9 * 256 / 1e9
    assert count_gflop(lambda: torch.nn.functional.conv2d(image, kernel, padding=1)) == pytest.approx(expected)


def test_the_unit_is_positive():
    assert 0.1 < matrix_product_gflops(runs=1) < 1e6


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_hardware_is_named():
    assert f'{available_cores()} cores' in hardware()


def test_bad_arguments():
    with pytest.raises(ValueError, match='runs must be at least 1, not 0'):
        measure(lambda: None, 0)
    with pytest.raises(ValueError, match='threads must be at least 1, not 0'), threads(0):
        pass
