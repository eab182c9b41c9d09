"""Parallel processing of many files."""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mmaffinity.utils.cores import available_cores

Item = TypeVar('Item')
Result = TypeVar('Result')
Progress = Callable[[str, int, int], None]


def map_files(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None = None,
    progress: Progress | None = None,
    what: str = 'files',
) -> list[Result]:
    """Apply a function to every item and return the results in the order of the items.

    It uses threads rather than processes, because the decoders, which take most of the time, release Python's global lock, and
    each process would have to import torch.

    Args:
        function: the function; its first exception stops the processing and is re-raised.
        items: its arguments.
        workers: number of threads, by default one per core and at most eight.
        progress: called as ``progress(what, done, total)`` after each item.
        what: plural noun for the items, for ``progress``.

    Raises:
        ValueError: if ``workers`` is less than 1.
    """
    if workers is None:
        workers = min(8, available_cores())
    if workers < 1:
        raise ValueError(f'the number of workers is {workers}; it must be at least 1')
    results: list[Result] = []
    executor = ThreadPoolExecutor(workers)
    # Threads that suppress warnings at the same time may restore each other's filters, which leaves warnings suppressed.
    with warnings.catch_warnings():
        try:
            for result in executor.map(function, items):
                results.append(result)
                if progress is not None:
                    progress(what, len(results), len(items))
        finally:
            executor.shutdown(cancel_futures=True)
    return results
