"""Read slices in worker processes, ahead of the network."""

import os
from collections.abc import Container, Iterator, Sequence
from functools import partial
from multiprocessing import get_all_start_methods
from typing import Any

import cv2
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mmaffinity.utils.parent_watch import end_with_parent

from .items import Problem, Scan, Slice
from .opening import brief

# Starting a worker takes as long as reading a few slices.
MIN_SLICES = 16
PREFETCH = 4  # slices per worker


def read_ahead(scan: Scan, done: Container[str] = (), workers: int = 0) -> Iterator[Slice | Problem]:
    """Read the slices of a scan like :meth:`Scan.read`, in worker processes and in the same order.

    Reading, decoding and windowing overlap with the caller's computation. Workers are forked; without fork, and for scans
    of a few slices, the calling process reads.

    Args:
        scan: the scan.
        done: keys of the slices to skip.
        workers: number of processes; a NIfTI volume, which is a single stream, uses one at most.

    Yields:
        As :meth:`Scan.read`. If the whole scan fails, a problem without a key.
    """
    keys = [key for key in scan.keys() if key not in done] if workers else []
    if len(keys) < MIN_SLICES or 'fork' not in get_all_start_methods():
        yield from scan.read(done)
        return
    if scan.info.kind == 'nifti':
        workers = 1
    loader = DataLoader(
        _Slices(scan, keys),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=PREFETCH,
        collate_fn=_unchanged,
        multiprocessing_context='fork',
        worker_init_fn=partial(_start_worker, parent=os.getpid()),
    )
    yield from loader


class _Slices(IterableDataset):
    """The slices of a scan, dealt to the loader's workers in turn, the order in which the loader collects them."""

    def __init__(self, scan: Scan, keys: Sequence[str]) -> None:
        self.scan, self.keys = scan, keys

    def __iter__(self) -> Iterator[Slice | Problem]:
        worker = get_worker_info()
        assert worker is not None  # read_ahead uses workers
        mine = set(self.keys[worker.id :: worker.num_workers])
        try:
            yield from self.scan.read(set(self.scan.keys()) - mine)
        except Exception as error:
            yield Problem(self.scan.info.name, f'cannot be read: {brief(error)}', failed=True)


def _unchanged(item: Any) -> Any:
    return item


def _start_worker(worker: int, parent: int) -> None:
    end_with_parent(parent)
    cv2.setNumThreads(0)  # OpenCV's threads do not survive forking
