"""Clocks, counters and the unit of speed."""

import os
import subprocess
import sys
import time

import pytest
import torch

from mmaffinity.utils.cores import available_cores
from mmaffinity.utils.timing import count_gflop, hardware, matrix_product_gflops, measure, threads


def test_medians_without_the_warmup(monkeypatch):
    wall, cpu = [0.0], [0.0]
    monkeypatch.setattr(time, 'perf_counter', lambda: wall[0])
    monkeypatch.setattr(time, 'process_time', lambda: cpu[0])
    durations = iter([0.25, 0.25, 0.0625, 0.5, 0.125, 0.03125, 0.125])

    def job():
        duration = next(durations)
        wall[0] += duration
        cpu[0] += 2 * duration

    timing = measure(job, runs=5, warmup=2)
    assert timing.runs == 5 and next(durations, None) is None
    assert (timing.fastest, timing.seconds, timing.cpu_seconds) == (0.03125, 0.125, 0.25)


def test_peak_memory_is_that_of_the_job():
    if measure(lambda: None, 1).peak_memory is None:
        pytest.skip('the system does not report the peak memory of a process')
    small = measure(lambda: None, 1, 0).peak_memory
    large = measure(lambda: torch.ones(200 * 2**18).sum(), 1, 0).peak_memory
    assert 150 < large - small < 300
    assert measure(lambda: None, 1, 0).peak_memory < large - 100  # the peak is reset


def test_peak_memory_excludes_what_earlier_jobs_have_freed():
    """Training keeps freed memory, for the rest of the process."""
    code = """
import torch
from mmaffinity.utils.memory import keep_freed_memory
from mmaffinity.utils.timing import measure
if not keep_freed_memory():
    print('skip')
else:
    small = measure(lambda: None, 1, 0).peak_memory
    large = measure(lambda: torch.ones(200 * 2**18).sum(), 1, 0).peak_memory
    print(large - small, measure(lambda: None, 1, 0).peak_memory - small)
"""
    environment = {**os.environ, 'MMAFFINITY_LAZY': '1'}
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True)
    if done.stdout.startswith('skip'):
        pytest.skip('the C library is not glibc')
    large, after = map(float, done.stdout.split())
    assert 150 < large < 300 and after < 50


def test_gflop_of_products_and_convolutions():
    x, y = torch.randn(300, 400), torch.randn(400, 500)
    assert count_gflop(lambda: x @ y) == pytest.approx(2 * 300 * 400 * 500 / 1e9)
    image, kernel = torch.randn(1, 8, 16, 16), torch.randn(4, 8, 3, 3)
    expected = 2 * 4 * 8 * 9 * 256 / 1e9
    assert count_gflop(lambda: torch.nn.functional.conv2d(image, kernel, padding=1)) == pytest.approx(expected)


def test_the_unit_is_positive():
    assert 0.1 < matrix_product_gflops(runs=1) < 1e6


def test_number_of_threads_is_restored():
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
