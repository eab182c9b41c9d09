"""Measure how prediction time grows with the number of slices, objects, RoIs and affinities."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmaffinity.utils.config import own_config

from .benchmark import Benchmark

# For each quantity: the job to time, and the values.
GROWTH = {
    'slices': ('both', (1, 2, 4, 8, 16)),
    'objects': ('both', (1, 10, 25, 50, 75, 100)),
    'rois': ('classification', (2, 4, 8, 16, 32, 64)),
    'affinities': ('classification', (8, 32, 128, 512)),
}


def measure_growth(
    config: str | Path | Config,
    what: Sequence[str] = tuple(GROWTH),
    runs: int = 7,
    warmup: int = 2,
    num_threads: int | None = None,
    device: str = 'cpu',
    overrides: dict | None = None,
) -> dict:
    """Time a model with random weights at growing values of each quantity.

    Args:
        config: an affinity model's config or its path.
        what: keys of ``GROWTH``: slices per batch, objects per slice, RoIs beta, affinities C*.
        num_threads: torch threads; None means one per core.
        runs, warmup, device, overrides: as for :func:`benchmark`.

    Returns:
        By name, two lists: values and seconds.

    Raises:
        ValueError: if a name in ``what`` is unknown.
    """
    unknown = [name for name in what if name not in GROWTH]
    if unknown:
        raise ValueError(f'unknown: {", ".join(unknown)}; growth is measured with the number of {", ".join(GROWTH)}')
    config = own_config(config, overrides)
    result = {}
    for name in what:
        job, values = GROWTH[name]
        seconds = []
        for value in values:
            changed = copy.deepcopy(config)
            if name == 'rois':
                changed.merge_from_dict({'model.roi_head.cls_head.num_rois': value})
                selector = changed.model.roi_head.get('roi_selector') or {}
                if selector.get('num_candidates') is not None:
                    selector['num_candidates'] = 2 * value  # at least one per rank
            if name == 'affinities':
                changed.merge_from_dict({'model.roi_head.cls_head.num_affinities': value})
            bench = Benchmark(changed, objects=value if name == 'objects' else 24, device=device)
            row = bench.row(job, value if name == 'slices' else 1, num_threads, runs, warmup, count=False)
            seconds.append(row['seconds'])
        result[name] = (list(values), seconds)
    return result


def growth_exponent(values: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the largest exponent b of ``seconds ~ values**b`` between adjacent points; 1 means linear growth."""
    values, seconds = np.asarray(values, float), np.asarray(seconds, float)
    steps = np.log(seconds[1:] / seconds[:-1]) / np.log(values[1:] / values[:-1])
    return float(steps.max())
