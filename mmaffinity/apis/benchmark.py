"""Measure the latency, throughput, memory and arithmetic of a model, in seconds and in a machine-independent unit."""

import copy
import csv
import datetime
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import mmdet
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmaffinity import __version__
from mmaffinity.checkpoints import build_model
from mmaffinity.engine import train_in_bfloat16
from mmaffinity.structures import CLASSIFICATION, SEGMENTATION
from mmaffinity.utils.config import own_config
from mmaffinity.utils.cores import available_cores
from mmaffinity.utils.device import find_device
from mmaffinity.utils.memory import keep_freed_memory
from mmaffinity.utils.references import resolve_references
from mmaffinity.utils.timing import count_gflop, hardware, matrix_product_gflops, measure, threads

from .benchmark_slices import phantom_sample, phantom_slice
from .timed import JOBS, MODES, PRECISIONS

PRINTED = 14  # first columns of a row


class Benchmark:
    """A model and its timed jobs.

    Args:
        config: a config or its path.
        checkpoint: matching weights; by default random weights, which take the same time.
        objects: predicted objects per slice: that many of the best boxes, whatever their scores. None leaves the number to the
            weights and the config's thresholds.
        device: see :func:`~mmaffinity.utils.device.find_device`.
        precision: 'float32', or 'bfloat16' or 'float16' by automatic mixed precision.
        overrides: config fields by dotted key.

    Raises:
        FileNotFoundError: if the config or the checkpoint does not exist.
        ValueError: if the checkpoint does not match, the device does not exist, or an argument is invalid.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        objects: int | None = 24,
        device: str = 'cpu',
        precision: str = 'float32',
        overrides: dict | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f'precision must be one of {", ".join(PRECISIONS)}, not {precision!r}')
        self.config = own_config(config, overrides)
        self.checkpoint, self.objects = checkpoint, objects
        self.device, self.precision = find_device(device), precision
        self.size = tuple(self.config.get('image_size', (512, 512)))
        model = self.config.model
        model.backbone.init_cfg = None
        if objects is not None and model.get('test_cfg', {}).get('rcnn'):
            if objects < 1:
                raise ValueError(f'objects must be at least 1, not {objects}')
            # No score threshold, and only equal boxes suppress each other.
            model.test_cfg.rcnn.update(score_thr=-1.0, max_per_img=objects, nms=dict(type='nms', iou_threshold=0.9999))
        self.model: Any = self._build()

    def _build(self) -> nn.Module:
        init_default_scope('mmdet')
        torch.manual_seed(0)
        preprocessor = self.config.model.data_preprocessor
        if (
            preprocessor.get('normalization') == 'global'
            and preprocessor.get('mean') is None
            and not Path(preprocessor.get('statistics') or '').is_file()
        ):
            preprocessor.update(mean=0.4, std=0.3)
        # Hide MMEngine's messages on the initialisation of weights.
        MMLogger.get_current_instance().setLevel('WARNING')
        if self.checkpoint is not None:
            return build_model(self.config, self.checkpoint).to(self.device)
        model = MODELS.build(self.config.model)
        model.init_weights()
        return model.to(self.device)

    def job(self, name: str, batch_size: int = 1) -> Callable[[], Any]:
        """Return a function that runs a job once: a prediction mode, 'train' (both stages with the optimizer), or 'data'.

        Raises:
            ValueError: if the job is unknown or the model does not support it.
        """
        if name not in JOBS:
            raise ValueError(f'a job must be one of {", ".join(JOBS)}, not {name!r}')
        if name == 'data':
            return self._data_job(batch_size)
        if name == 'train':
            return self._train_job(batch_size)
        if not hasattr(self.model, 'mode'):
            raise ValueError(f'{type(self.model).__name__} has no prediction modes: only the jobs train and data can be timed')
        data = dict(
            inputs=[torch.from_numpy(phantom_slice(i, self.size)[0])[None] for i in range(batch_size)],
            data_samples=[phantom_sample(CLASSIFICATION, self.size) for _ in range(batch_size)],
        )

        def predict() -> list:
            self.model.eval()
            self.model.mode = name
            dtype = None if self.precision == 'float32' else getattr(torch, self.precision)
            mixed = torch.autocast(self.device.type, dtype, enabled=dtype is not None)
            with torch.no_grad(), mixed:
                return self.model.val_step(dict(inputs=data['inputs'], data_samples=copy.deepcopy(data['data_samples'])))

        return predict

    def _train_job(self, batch_size: int) -> Callable[[], Any]:
        wrapper = copy.deepcopy(self.config.optim_wrapper)
        if self.device.type == 'cpu':
            keep_freed_memory()
        if self.device.type == 'cpu' and self.precision == 'bfloat16':
            train_in_bfloat16(self.model)
        elif self.precision != 'float32':
            wrapper.update(type='AmpOptimWrapper', dtype=self.precision)
        optimizer = build_optim_wrapper(self.model, wrapper)
        slices = [phantom_slice(i, self.size) for i in range(batch_size)]
        stages = self._stages()

        def train() -> None:
            self.model.train()
            for stage in stages:
                if hasattr(self.model, 'set_stage'):
                    self.model.set_stage(stage)
                samples = [phantom_sample(stage, self.size, mask) for _, mask in slices]
                self.model.train_step(
                    dict(inputs=[torch.from_numpy(grey)[None] for grey, _ in slices], data_samples=samples), optimizer
                )
                if stage == SEGMENTATION and hasattr(self.model, 'copy_branch'):
                    self.model.copy_branch()

        return train

    def _stages(self) -> list:
        if not hasattr(self.model, 'stage_modules'):
            return [SEGMENTATION if hasattr(self.model, 'roi_head') else CLASSIFICATION]
        stages = []
        for stage in (SEGMENTATION, CLASSIFICATION):
            try:
                self.model.stage_modules(stage)
            except ValueError:  # a model without this stage
                continue
            stages.append(stage)
        return stages

    def _data_job(self, batch_size: int) -> Callable[[], Any]:
        steps = resolve_references(self.config.slice_pipeline, self.config)
        changed = [dict(step, scale=self.size) if step['type'] == 'Resize' else dict(step) for step in steps]
        pipeline = Compose([TRANSFORMS.build(step) for step in changed])
        folder = tempfile.TemporaryDirectory()
        paths = []
        for i in range(batch_size):
            paths.append(str(Path(folder.name) / f'{i}.png'))
            cv2.imwrite(paths[-1], phantom_slice(i, self.size)[0])

        def load(_folder: tempfile.TemporaryDirectory = folder) -> list:
            return [pipeline(dict(img_path=path, task=CLASSIFICATION, gt_slice_label=0)) for path in paths]

        return load

    def row(
        self,
        name: str,
        batch_size: int = 1,
        num_threads: int | None = None,
        runs: int = 20,
        warmup: int = 3,
        count: bool = True,
    ) -> dict:
        """Time a job, and return one row of the table.

        Args:
            name, batch_size: as for :meth:`job`.
            num_threads: torch threads; None means one per core.
            runs, warmup: timed calls, and untimed calls before them.
            count: whether to count the arithmetic, which takes another call.

        Returns:
            The row, by column.

        Raises:
            ValueError: as for :meth:`job`, and if ``runs`` or ``num_threads`` is below 1.
        """
        job = self.job(name, batch_size)
        with threads(num_threads or available_cores()):
            before = matrix_product_gflops(self.device)
            timing = measure(job, runs, warmup, self.device)
            peak = (before + matrix_product_gflops(self.device)) / 2
            gflop = count_gflop(job) if count and name != 'data' else None
            used = torch.get_num_threads()
        return dict(
            job=name,
            batch_size=batch_size,
            objects=self.objects if name in ('detection', 'both') else None,
            threads=used,
            precision=self.precision,
            layout='channels last' if getattr(self.model.backbone, 'channels_last', False) and name in MODES else 'contiguous',
            seconds=timing.seconds,
            fastest=timing.fastest,
            cpu_seconds=timing.cpu_seconds,
            slices_per_second=batch_size / timing.seconds,
            peak_gflop_per_slice=timing.seconds * peak / batch_size,
            gflop_per_slice=None if gflop is None else gflop / batch_size,
            peak_gflops=peak,
            peak_memory_mib=timing.peak_memory,
            runs=timing.runs,
            image_size='x'.join(map(str, self.size)),
            config=Path(self.config.filename).stem if self.config.filename else None,
            checkpoint=Path(self.checkpoint).name if self.checkpoint else 'random weights',
            device=self.device.type,
            hardware=hardware(self.device),
            torch=torch.__version__,
            mmcv=mmcv.__version__,
            mmdet=mmdet.__version__,
            mmaffinity=__version__,
            date=datetime.date.today().isoformat(),
        )


def benchmark(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    jobs: Sequence[str] = JOBS,
    batch_sizes: Sequence[int] = (1,),
    objects: Sequence[int] = (24, 100),
    num_threads: Sequence[int | None] = (None,),
    runs: int = 20,
    warmup: int = 3,
    device: str = 'cpu',
    precision: str = 'float32',
    overrides: dict | None = None,
) -> Iterator[dict]:
    """Time a model, row by row.

    Args:
        config, checkpoint, device, precision, overrides: as for :class:`Benchmark`.
        jobs: any of 'classification', 'detection', 'both', 'train' and 'data'.
        batch_sizes: slices per call; 'train' uses only the first.
        objects: objects per slice for jobs with detection.
        num_threads: torch threads; None means one per core.
        runs, warmup: timed calls, and untimed calls before them.

    Yields:
        Rows as from :meth:`Benchmark.row`.

    Raises:
        FileNotFoundError, ValueError: as for :class:`Benchmark` and :meth:`Benchmark.row`.
    """
    unknown = [name for name in jobs if name not in JOBS]
    if unknown:
        raise ValueError(f'unknown: {", ".join(unknown)}; the jobs are {", ".join(JOBS)}')
    for index, number in enumerate(objects):
        bench = Benchmark(config, checkpoint, number, device, precision, overrides)
        for name in jobs:
            if index and name not in ('detection', 'both'):
                continue  # does not depend on the number of objects
            for size in batch_sizes[:1] if name == 'train' else batch_sizes:
                for threads_ in num_threads:
                    yield bench.row(name, size, threads_, runs, warmup)


def format_rows(rows: Sequence[dict]) -> str:
    """Return rows with equal columns as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator='\n')
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f'{value:.5g}' if isinstance(value, float) else value for key, value in row.items()})
    return text.getvalue()
