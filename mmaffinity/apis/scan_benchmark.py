"""Time the prediction of scans, and how long the network waits for slices."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmaffinity.scans import Problem, Slice, find_scans
from mmaffinity.scans.read_ahead import read_ahead

from .inferencer import AffinityInferencer


def time_scans(inferencer: AffinityInferencer, inputs: str | Path, workers: Sequence[int] = (0, 1)) -> Iterator[dict]:
    """Predict scans once per number of reader processes.

    Args:
        inferencer: the model.
        inputs: a file or folder, preferably with many slices.
        workers: numbers of processes that read ahead; 0 reads between the slices.

    Yields:
        Rows by column; ``waiting_seconds`` is the total time spent waiting for slices, except for the first of each scan, whose
        reading cannot overlap with prediction.

    Raises:
        ValueError: if no slice can be predicted.
    """
    scans = [scan for scan in find_scans(inputs, inferencer.options) if not isinstance(scan, Problem)]
    for number in workers:
        waiting = [0.0, 0.0]  # for the first slice, and for the others

        def timed(slices: Iterator[Slice | Problem], waiting: list[float] = waiting) -> Iterator[Slice | Problem]:
            first = True
            while True:
                start = time.perf_counter()
                item = next(slices, None)
                waiting[not first] += time.perf_counter() - start
                first = False
                if item is None:
                    return
                yield item

        start, predicted = time.perf_counter(), 0
        for scan in scans:
            for result in inferencer.predict_slices(timed(read_ahead(scan, workers=number))):
                predicted += not isinstance(result, Problem)
        seconds = time.perf_counter() - start
        if not predicted:
            raise ValueError(f'no slice of {inputs} can be predicted')
        yield dict(
            workers=number,
            slices=predicted,
            seconds=seconds,
            slices_per_second=predicted / seconds,
            waiting_seconds=waiting[1],
            waiting_share=waiting[1] / seconds,
        )
