"""Measure time in seconds and in a machine-independent unit."""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from .cores import available_cores
from .memory import process_memory, return_freed_memory

MATRIX_SIZE = 2048
CPU = torch.device('cpu')
Key = TypeVar('Key')


@dataclass(frozen=True)
class Timing:
    """Result of :func:`measure`.

    Attributes:
        seconds: median time of a call.
        fastest: shortest time of a call.
        cpu_seconds: median processor time of a call, summed over threads.
        peak_memory: peak memory during the calls in MiB: resident memory of the process or, on a GPU, memory allocated by
            torch; None if the system does not report it.
        runs: number of calls.
    """

    seconds: float
    fastest: float
    cpu_seconds: float
    peak_memory: float | None
    runs: int


def synchronize(device: torch.device) -> None:
    """Wait for pending GPU work."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def measure(job: Callable[[], Any], runs: int = 20, warmup: int = 3, device: torch.device = CPU) -> Timing:
    """Time a job after some warm-up calls.

    Raises:
        ValueError: if ``runs`` is below 1.
    """
    if runs < 1:
        raise ValueError(f'runs must be at least 1, not {runs}')
    gc.collect()
    return_freed_memory()  # of earlier jobs, which is not part of this one's peak
    for _ in range(warmup):
        job()
    gc.collect()
    _reset_peak_memory(device)
    wall, cpu = [], []
    for _ in range(runs):
        synchronize(device)
        start, cpu_start = time.perf_counter(), time.process_time()
        job()
        synchronize(device)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    return Timing(statistics.median(wall), min(wall), statistics.median(cpu), _peak_memory(device), runs)


def time_in_turns(
    calls: Mapping[Key, Callable[[], Any]], runs: int, warmup: int = 0, device: torch.device = CPU, pause: float = 0.0
) -> tuple[dict[Key, list[float]], dict[Key, Any]]:
    """Time several calls in alternation, so that other load on the machine affects all of them alike.

    Args:
        calls: functions without arguments.
        runs, warmup: number of timed rounds, and of untimed rounds before them.
        device: device on which they compute.
        pause: seconds to wait before each call, in case threads keep spinning after the previous one.

    Returns:
        Seconds of each call in each round, and the last result of each call.
    """
    seconds: dict[Key, list[float]] = {key: [] for key in calls}
    results = {}
    for turn in range(warmup + runs):
        for key, call in calls.items():
            time.sleep(pause)
            synchronize(device)
            start = time.perf_counter()
            results[key] = call()
            synchronize(device)
            if turn >= warmup:
                seconds[key].append(time.perf_counter() - start)
    return seconds, results


@torch.no_grad()
def matrix_product_gflops(device: torch.device = CPU, runs: int = 7) -> float:
    """Return the GFLOP/s of a 2048 x 2048 float32 matrix product with torch's current number of threads.

    The seconds of a job times this value are its *peak GFLOP*: the arithmetic that the machine could have done in that time.
    """
    left, right = (torch.randn(MATRIX_SIZE, MATRIX_SIZE, device=device) for _ in range(2))
    timing = measure(lambda: left @ right, runs, 2, device)
    return 2 * MATRIX_SIZE**3 / timing.seconds / 1e9


def count_gflop(job: Callable[[], Any]) -> float:
    """Return the GFLOP of convolutions and matrix products in one call."""
    with FlopCounterMode(display=False) as counter:
        job()
    return counter.get_total_flops() / 1e9


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Set torch's number of threads within the block.

    Raises:
        ValueError: if the number is below 1.
    """
    if number < 1:
        raise ValueError(f'the number of threads must be at least 1, not {number}')
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hardware(device: torch.device = CPU) -> str:
    """Return the name of the processor or GPU."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    try:
        names = [
            line.split(':', 1)[1].strip()
            for line in Path('/proc/cpuinfo').read_text().splitlines()
            if line.startswith('model name')
        ]
    except OSError:
        names = []
    return f'{names[0] if names else platform.processor() or platform.machine()}, {available_cores()} cores'


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path('/proc/self/clear_refs').write_text('5')  # on Linux, resets the peak memory of the process
    except OSError:
        pass


def _peak_memory(device: torch.device) -> float | None:
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / 2**20
    return process_memory('VmHWM')
