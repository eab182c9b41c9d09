"""Time the same prediction in torch, compiled torch, ONNX Runtime and OpenVINO, in each precision that they support."""

import datetime
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config

from mmaffinity import __version__
from mmaffinity.runtime import BACKENDS, has_bfloat16, is_installed
from mmaffinity.scans.opening import brief
from mmaffinity.utils.config import own_config
from mmaffinity.utils.cores import available_cores
from mmaffinity.utils.timing import hardware, matrix_product_gflops, threads, time_in_turns

from .benchmark import Benchmark
from .benchmark_slices import phantom_slice
from .onnx_export import export_onnx
from .onnx_inferencer import OnnxInferencer
from .timed import ENGINES, MODES

COMPILED = ('backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head', 'roi_head.cls_head')
PRINTED = 8  # first columns of a row
PAUSE = 0.02  # seconds between calls; a runtime's threads keep spinning for a while after each


def benchmark_backends(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    backends: Sequence[str] | None = None,
    jobs: Sequence[str] = ('classification', 'both'),
    objects: int = 24,
    runs: int = 20,
    warmup: int = 3,
    num_threads: int | None = None,
    overrides: dict | None = None,
    bfloat16: bool | None = None,
) -> Iterator[dict]:
    """Time the prediction of one slice, from its resized pixels to classes, boxes and pasted masks, in each backend in turn.

    The int8 model is calibrated on one phantom slice, which does not affect its speed.

    Args:
        config, checkpoint, objects, overrides: as for :class:`Benchmark`.
        backends: keys of ``ENGINES``; None means those that are installed. The first is the baseline of the others.
        jobs: prediction modes.
        runs, warmup: timed rounds, and untimed rounds before them.
        num_threads: threads of each backend; None means one per core.
        bfloat16: whether to time bfloat16; None means only if the processor supports it.

    Yields:
        Rows by column, job by job. 'speed_up' is relative to the first row of the job. A backend that fails has
        a 'failure' instead of times.

    Raises:
        FileNotFoundError, ValueError: as for :class:`Benchmark`, and if a job or a backend is unknown, ``runs`` is below 1, or
            the first backend fails.
    """
    names = backends or [name for name in ENGINES if name not in BACKENDS or is_installed(name)]
    unknown = [name for name in names if name not in ENGINES] + [name for name in jobs if name not in MODES]
    if unknown:
        raise ValueError(
            f'unknown: {", ".join(unknown)}; the backends are {", ".join(ENGINES)}; the jobs are {", ".join(MODES)}'
        )
    if runs < 1:
        raise ValueError(f'runs must be at least 1, not {runs}')
    number = num_threads or available_cores()
    with_bfloat16 = has_bfloat16() if bfloat16 is None else bfloat16
    pairs = [(name, precision) for name in names for precision in ENGINES[name] if precision != 'bfloat16' or with_bfloat16]
    cfg = own_config(config, overrides)
    for job in jobs:
        with tempfile.TemporaryDirectory() as folder, threads(number):
            backend_job = _Job(cfg, checkpoint, job, objects, Path(folder), number)
            calls, failures, versions = {}, {}, {}
            for pair in pairs:
                try:
                    calls[pair], versions[pair] = backend_job.call(*pair)
                    for _ in range(warmup):
                        calls[pair]()
                except Exception as error:  # that a backend cannot run the model is a result too
                    if pair == pairs[0]:
                        raise
                    calls.pop(pair, None)
                    failures[pair] = brief(error, 200)
            before = matrix_product_gflops()
            seconds, _ = time_in_turns(calls, runs, pause=PAUSE)
            peak = (before + matrix_product_gflops()) / 2
        first = statistics.median(seconds[pairs[0]])
        for pair in pairs:
            times = seconds.get(pair)
            median = None if times is None else statistics.median(times)
            yield dict(
                job=job,
                backend=pair[0],
                precision=pair[1],
                seconds=median,
                fastest=None if times is None else min(times),
                peak_gflop=None if median is None else median * peak,
                speed_up=None if median is None else first / median,
                failure=failures.get(pair),
                objects=objects if job != 'classification' else None,
                threads=number,
                runs=runs,
                peak_gflops=peak,
                version=versions.get(pair),
                image_size='x'.join(map(str, backend_job.size)),
                config=Path(cfg.filename).stem if cfg.filename else None,
                hardware=hardware(),
                mmaffinity=__version__,
                date=datetime.date.today().isoformat(),
            )


class _Job:
    """One prediction mode of a model, in every backend."""

    def __init__(
        self, config: Config, checkpoint: str | Path | None, name: str, objects: int, folder: Path, num_threads: int
    ) -> None:
        self.name, self.objects, self.folder, self.threads = name, objects, folder, num_threads
        self.config, self.checkpoint = own_config(config, {'model.test_cfg.mode': name}), checkpoint
        self.plain = Benchmark(self.config, checkpoint, objects)
        self.size = self.plain.size
        self._weights: Path | None = None

    def call(self, backend: str, precision: str) -> tuple[Callable[[], Any], str]:
        """Return a function that predicts a slice, and the version of its runtime."""
        if backend in BACKENDS:
            inferencer = OnnxInferencer(self._exported(precision), backend, precision, self.threads)
            packed = [(self._grey().astype(np.float32)[None], self.size[::-1])]
            return lambda: inferencer._forward(packed), inferencer.session.version
        changes = {'model.compile_parts': list(COMPILED)} if backend == 'torch.compile' else None
        bench = Benchmark(self.config, self.checkpoint, self.objects, precision=precision, overrides=changes)
        return bench.job(self.name), torch.__version__

    def _grey(self) -> np.ndarray:
        return phantom_slice(0, self.size)[0]

    def _exported(self, precision: str) -> Path:
        """Return the exported model in int8 or float32, exporting it on first use."""
        out = self.folder / ('int8.onnx' if precision == 'int8' else 'float32.onnx')
        if not out.exists():
            if self._weights is None:
                self._weights = self.folder / 'weights.pth'
                torch.save(dict(state_dict=self.plain.model.state_dict()), self._weights)
                cv2.imwrite(str(self.folder / 'slice.png'), self._grey())
            slices = [self.folder / 'slice.png'] if precision == 'int8' else None
            export_onnx(self.plain.config, self._weights, out, int8=slices)
        return out
