"""Measure the effect of each optimisation: time a model with and without it, alternating within one run."""

import copy
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config

from mmaffinity.utils.config import own_config
from mmaffinity.utils.cores import available_cores
from mmaffinity.utils.timing import threads, time_in_turns

from .benchmark import Benchmark
from .timed import ABLATIONS, MODES

ALL_ON = 'as configured'
TRAINING = tuple(name for name, values in ABLATIONS.items() if any(key.startswith('optim_wrapper') for key in values))


def ablate(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    changes: Sequence[str] = tuple(ABLATIONS),
    jobs: Sequence[str] = ('classification', 'both'),
    batch_size: int = 1,
    objects: int = 24,
    runs: int = 20,
    warmup: int = 3,
    num_threads: int | None = None,
    device: str = 'cpu',
    overrides: dict | None = None,
) -> list[dict]:
    """Time a model as configured and with one change at a time, alternating so that other load affects all variants alike.

    Args:
        config, checkpoint, device, overrides: as for :class:`Benchmark`, for an affinity model. Random weights are the same
            in every variant.
        changes: keys of ``ABLATIONS``.
        jobs: prediction modes, or 'train', for which no drift is measured.
        batch_size, objects: slices per call, and objects per slice.
        runs, warmup: timed rounds, and untimed rounds before them.
        num_threads: torch threads; None means one per core.

    Returns:
        A row per variant and job: the median time of a call and, against the model as configured, the ratio of the times, the
        largest difference of a logit and of a class probability, and the share of slices with the same class (the last three
        are None if the job does not classify).

    Raises:
        FileNotFoundError, ValueError: as for :class:`Benchmark`, and if a change or a job is unknown or ``runs`` is below 1.
    """
    unknown = [name for name in changes if name not in ABLATIONS] + [name for name in jobs if name not in (*MODES, 'train')]
    if unknown:
        raise ValueError(
            f'unknown: {", ".join(unknown)}; the changes are {", ".join(map(repr, ABLATIONS))}; the jobs are '
            f'{", ".join(MODES)}, train'
        )
    if runs < 1:
        raise ValueError(f'runs must be at least 1, not {runs}')
    config = own_config(config, overrides)
    calls = {}
    for name in (ALL_ON, *changes):
        changed, values = copy.deepcopy(config), dict(ABLATIONS.get(name, {}))
        precision = values.pop('precision', 'float32')
        changed.merge_from_dict(values)
        if changed.model.backbone.type == 'ResNet':
            for key in ('fold_norm', 'channels_last'):
                changed.model.backbone.pop(key, None)
        bench = Benchmark(changed, checkpoint, objects, device, precision)
        for job in jobs:
            if job == 'train':  # a model of its own, because training changes the weights
                calls[name, job] = Benchmark(changed, checkpoint, objects, device, precision).job(job, batch_size)
            elif name not in TRAINING:
                calls[name, job] = bench.job(job, batch_size)
    with threads(num_threads or available_cores()):
        seconds, outputs = time_in_turns(calls, runs, warmup, bench.device)
    rows = []
    for (name, job), times in seconds.items():
        median, plain = statistics.median(times), statistics.median(seconds[ALL_ON, job])
        drift = _drift(outputs[name, job], outputs[ALL_ON, job])
        rows.append(dict(change=name, job=job, seconds=median, ratio=median / plain, **drift))
    return rows


def _drift(samples: list | None, plain: list | None) -> dict[str, float | None]:
    if samples is None or plain is None or 'pred_slice' not in samples[0]:
        return dict(logit_drift=None, probability_drift=None, same_class=None)
    logits, expected = (
        torch.stack([sample.pred_slice.logits for sample in group]).double().cpu() for group in (samples, plain)
    )
    return dict(
        logit_drift=(logits - expected).abs().max().item(),
        probability_drift=(logits.sigmoid() - expected.sigmoid()).abs().max().item(),
        same_class=(logits.argmax(1) == expected.argmax(1)).double().mean().item(),
    )
