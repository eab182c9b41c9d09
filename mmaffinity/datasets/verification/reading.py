"""Parallel, cached reading of many files."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext

import cv2

from mmaffinity.utils.cores import available_cores
from mmaffinity.utils.parent_watch import end_with_parent

from . import image_facts
from .fact_cache import FactCache
from .image_facts import FileFacts

Job = tuple[str, str]  # kind and path
Progress = Callable[[int, int], None]
CHUNK = 16
CRASHED = 'crashes the process that decodes it; replace the file'


def read_all(
    jobs: Sequence[Job], cache: FactCache, workers: int | None = None, progress: Progress | None = None
) -> tuple[dict[Job, FileFacts], int]:
    """Read the files that are not in the cache.

    Args:
        jobs: kind ('slice' or 'mask') and path of each file.
        cache: known facts; new facts are added.
        workers: number of processes, by default one per core available to this process; 0 reads in the current process.
        progress: called as ``progress(done, total)`` over the files to read.

    Returns:
        The facts of every file, and the number of files read rather than taken from the cache.

    Raises:
        ValueError: if ``workers`` is negative.
    """
    if workers is None:
        workers = available_cores()
    if workers < 0:
        raise ValueError(f'the number of workers is {workers}; it must be 0 or more')
    facts: dict[Job, FileFacts] = {}
    todo: list[Job] = []
    for job in dict.fromkeys(jobs):
        known = cache.get(*job)
        if known is None:
            todo.append(job)
        else:
            facts[job] = known
    chunks = [todo[start : start + CHUNK] for start in range(0, len(todo), CHUNK)]
    done = 0
    # Starting processes does not pay off for a handful of files.
    here = workers == 0 or len(chunks) < 2
    for chunk, results in ((chunk, _read_chunk(chunk)) for chunk in chunks) if here else _in_processes(chunks, workers):
        for job, result in zip(chunk, results, strict=True):
            facts[job] = result
            cache.add(*job, result)
        done += len(chunk)
        if progress is not None:
            progress(done, len(todo))
    return facts, len(todo)


def _read_chunk(chunk: Sequence[Job]) -> list[FileFacts]:
    return [image_facts.read_facts(*job) for job in chunk]


def _in_processes(chunks: Sequence[Sequence[Job]], workers: int) -> Iterator[tuple[Sequence[Job], list[FileFacts]]]:
    """Yield each chunk and its facts; if a process dies, read the first unfinished chunk file by file and continue."""
    waiting = deque(chunks)
    while waiting:
        executor = ProcessPoolExecutor(workers, _context(), _start_worker, (os.getpid(),))
        try:
            for future in [executor.submit(_read_chunk, chunk) for chunk in waiting]:
                result = future.result()
                yield waiting.popleft(), result
        except BrokenProcessPool:  # if the culprit is in a later chunk, it breaks the next pool
            yield waiting[0], [_read_alone(job) for job in waiting.popleft()]
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _read_alone(job: Job) -> FileFacts:
    with ProcessPoolExecutor(1, _context(), _start_worker, (os.getpid(),)) as executor:
        try:
            return executor.submit(_read_chunk, [job]).result()[0]
        except BrokenProcessPool:
            return FileFacts(error=CRASHED)


def _context() -> BaseContext:
    # A forked process starts immediately; a spawned one first imports torch.
    return multiprocessing.get_context('fork' if 'fork' in multiprocessing.get_all_start_methods() else 'spawn')


def _start_worker(parent: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's threads do not survive a fork, and processes already use the cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    end_with_parent(parent)
