"""The Python entry point for prediction: from files or arrays to typed predictions."""
import os
import traceback
import warnings
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmengine.config import Config

from mmaffinity.checkpoints import build_model, load_checkpoint
from mmaffinity.scans import Problem, ReadOptions, Scan, ScanInfo, Slice, SliceRecord, find_scans, measure
from mmaffinity.scans.discovery import Input
from mmaffinity.scans.opening import brief
from mmaffinity.scans.read_ahead import read_ahead
from mmaffinity.structures import CLASSIFICATION, SliceDataSample
from mmaffinity.utils.config import own_config
from mmaffinity.utils.device import find_device
from mmaffinity.utils.files import sha256_of
from mmaffinity.utils.prediction_pipeline import prediction_transforms, slice_class_names
from mmaffinity.utils.provenance import config_hash
from mmaffinity.utils.wording import plural
from mmaffinity.visualization import draw_overlay
from mmaffinity.visualization.sample_arrays import to_array

OnProblem = Callable[[Problem], None]


@dataclass(frozen=True)
class SlicePrediction:
    """The prediction for one slice.

    Attributes:
        slice: the slice as given to the model, with its position in the scan.
        sample: ``pred_slice`` and ``pred_instances``, as far as the model predicts them, on the CPU; boxes and masks are in
            pixels of ``slice.grey``. See :class:`SliceDataSample`.
        slice_classes: names of the K slice classes.
        lesion_classes: names of the lesion classes.
        scan: the scan of the slice; None for slices passed individually.
    """

    slice: Slice
    sample: SliceDataSample
    slice_classes: tuple[str, ...]
    lesion_classes: tuple[str, ...] = ('lesion',)
    scan: ScanInfo | None = None

    @property
    def probabilities(self) -> dict[str, float]:
        """Independent probability of each class (sigmoid, Eq. 9: they need not sum to 1); empty without a slice head."""
        if self.sample.get('pred_slice') is None:
            return {}
        return dict(zip(self.slice_classes, to_array(self.sample.pred_slice.score).reshape(-1).astype(float).tolist()))

    @property
    def label(self) -> str | None:
        """Name of the predicted class; None without a slice head."""
        if self.sample.get('pred_slice') is None:
            return None
        return self.slice_classes[int(self.sample.pred_slice.label)]

    def record(self, score_thr: float = 0.5) -> SliceRecord:
        """Measure the lesions with a score of at least ``score_thr`` and return the slice's full record as plain data."""
        boxes, scores, labels, masks = np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), None
        instances = self.sample.get('pred_instances')
        if instances is not None:
            boxes, scores, labels = (to_array(instances[name]) for name in ('bboxes', 'scores', 'labels'))
            masks = to_array(instances.masks) if 'masks' in instances else None
        return measure(self.slice, self.label, self.probabilities, boxes, scores, labels, masks, score_thr)

    def overlay(self, score_thr: float = 0.5, show_rois: bool = False) -> np.ndarray:
        """Draw the slice and its lesions with a score of at least ``score_thr``, RGB uint8; see :func:`draw_overlay`."""
        return draw_overlay(self.slice.grey, self.sample, self.slice_classes if self.label is not None else None,
                            score_thr=score_thr, show_gt=False, show_rois=show_rois, lesion_names=self.lesion_classes,
                            name=self.slice.name)


class AffinityInferencer:
    """Predict slices from files, folders, DICOM series, NIfTI volumes and arrays.

        inferencer = AffinityInferencer('configs/affinity_c8.py', 'epoch_100.pth')
        for prediction in inferencer('scan_folder'):
            print(prediction.slice.name, prediction.label, prediction.probabilities)

    Results are yielded one by one while the input is read, computed in batches, so a folder of any size needs the memory of one
    batch and a few hundred bytes per slice for names. The other slices in a batch change a prediction by rounding at most,
    since convolutions may sum in another order for another batch size.

    Args:
        config: a config or its path, of any model of this package. Its test pipeline prepares the slices.
        checkpoint: matching weights; loaded without executing code in it.
        device: 'cpu', 'cuda', 'cuda:1', ..., see :func:`~mmaffinity.utils.device.find_device`; None means a GPU if there is
            one.
        batch_size: slices per batch; None means 8 on a GPU and 1 on the CPU, where more gain nothing.
        options: conversion of pixels to grey levels: Hounsfield window, rescaling, range of 16-bit images.
        cfg_options: overrides of config fields by dotted key.
        workers: processes that read, decode and window slices while the network runs; 0 reads in between. None means 1 on the
            CPU and 4 on a GPU. They are used on systems that can fork, for scans of at least 16 slices.

    Attributes:
        slice_classes, lesion_classes: names, from the checkpoint if it has them, otherwise from the config.
        description: config, checkpoint and their hashes, as plain data.

    Raises:
        FileNotFoundError: if the config or the checkpoint does not exist.
        ValueError: if they do not match, the checkpoint is not safe to load, or an argument is invalid.
    """

    def __init__(self,
                 config: str | Path | Config,
                 checkpoint: str | Path,
                 device: str | int | torch.device | None = None,
                 batch_size: int | None = None,
                 options: ReadOptions | None = None,
                 cfg_options: dict | None = None,
                 workers: int | None = None) -> None:
        if workers is not None and workers < 0:
            raise ValueError(f'workers={workers} must be 0 or more')
        if batch_size is not None and batch_size < 1:
            raise ValueError(f'batch_size={batch_size} must be 1 or more')
        cfg = own_config(config, cfg_options)
        self.cfg, self.options = cfg, options or ReadOptions()
        self.device = find_device(device)
        self.batch_size = batch_size or (1 if self.device.type == 'cpu' else 8)
        self.workers = workers if workers is not None else 1 if self.device.type == 'cpu' else 4
        content = load_checkpoint(checkpoint)
        self.model = build_model(cfg, checkpoint, content).to(self.device).eval()
        self.pipeline = Compose([TRANSFORMS.build(transform) for transform in prediction_transforms(cfg)])
        meta = (content.get('meta') or {}).get('dataset_meta') or {}
        self.slice_classes = tuple(map(str, meta.get('slice_classes') or slice_class_names(cfg)))
        self.lesion_classes = tuple(str(name) for name in meta.get('classes') or ('lesion',))
        self.description = dict(
            config=str(cfg.filename) if cfg.filename else None, config_sha256=config_hash(cfg),
            checkpoint=str(checkpoint), checkpoint_sha256=sha256_of(checkpoint), slice_classes=list(self.slice_classes),
            lesion_classes=list(self.lesion_classes))

    def __call__(self, inputs: Input | Iterable[Input],
                 on_problem: OnProblem | None = None) -> Iterator[SlicePrediction]:
        """Predict all slices of the inputs.

        Args:
            inputs: a file, a folder, an array of one slice ((H, W) or colour; uint8, uint16, or float in 8-bit grey
                levels), or an iterable of these; see :func:`find_scans`.
            on_problem: called for each input that cannot be read, is not an axial CT slice, or fails. By default, each gives a
                warning, except clutter.

        Yields:
            Predictions, scan by scan, each in the order of its slices.

        Raises:
            ValueError: at the end, without ``on_problem``, if nothing could be predicted; the message says why.
        """
        problems: list[Problem] = []
        num_problems = num_predicted = 0
        for scan in find_scans(inputs, self.options):
            for result in [scan] if isinstance(scan, Problem) else self.predict_scan(scan):
                if isinstance(result, SlicePrediction):
                    num_predicted += 1
                    yield result
                elif result.clutter and on_problem is None:
                    continue
                elif on_problem is not None:
                    on_problem(result)
                else:
                    num_problems += 1
                    problems = [*problems[:2], result]
                    warnings.warn(str(result), stacklevel=2)
        if num_problems and not num_predicted:
            raise ValueError(f'nothing could be predicted, {plural(num_problems, "input", "was")} left out: '
                             + '; '.join(map(str, problems)))

    def predict_scan(self, scan: Scan, done: Container[str] = ()) -> Iterator[SlicePrediction | Problem]:
        """Predict the slices of a scan in order, except those whose key is in ``done``.

        A scan that is refused as a whole, or fails for any reason, is yielded as one problem without key.
        """
        try:
            scan.check()
        except Exception as error:
            yield refused(scan, error)
            return
        try:
            for result in self.predict_slices(read_ahead(scan, done, self.workers)):
                yield result if isinstance(result, Problem) else SlicePrediction(
                    result.slice, result.sample, result.slice_classes, result.lesion_classes, scan.info)
        except Exception as error:
            yield failure(scan.info.name, 'cannot be predicted', error)

    def predict_slices(self, slices: Iterable[Slice | Problem]) -> Iterator[SlicePrediction | Problem]:
        """Predict slices in batches; problems are yielded in their place."""
        waiting: list[tuple[Slice | Problem, dict | None]] = []
        size = None
        for item in slices:
            packed = None
            if not isinstance(item, Problem):
                try:
                    packed = self._prepare(item)
                except Exception as error:
                    item = failure(item.name, 'cannot be prepared for the model', error, item.key)
            shape = size if packed is None else packed['inputs'].shape
            # A test pipeline that keeps the aspect ratio gives inputs of several sizes, which cannot share a batch.
            full = sum(entry is not None for _, entry in waiting) == self.batch_size
            if full or (size is not None and shape != size) or len(waiting) >= 64 * self.batch_size:
                yield from self._flush(waiting)
                waiting = []
            size = shape
            waiting.append((item, packed))
        yield from self._flush(waiting)

    def _prepare(self, item: Slice) -> dict:
        return self.pipeline(dict(img=item.grey, img_path=item.name, img_id=item.index, task=CLASSIFICATION))

    def _flush(self, waiting: list) -> Iterator[SlicePrediction | Problem]:
        packed = [entry for _, entry in waiting if entry is not None]
        try:
            samples = iter(self._forward(packed) if packed else ())
        except Exception as error:
            if len(packed) > 1:  # one by one: a slice that exceeds the memory must not fail the others
                for item, entry in waiting:
                    yield from self._flush([(item, entry)])
                return
            for item, entry in waiting:
                yield item if entry is None else failure(item.name, 'cannot be predicted', error, item.key)
            return
        for item, entry in waiting:
            yield item if entry is None else self._predicted(item, next(samples))

    def _forward(self, packed: list[dict]) -> list[SliceDataSample]:
        with torch.inference_mode():
            return self.model.test_step(dict(inputs=[entry['inputs'] for entry in packed],
                                             data_samples=[entry['data_samples'] for entry in packed]))

    def _predicted(self, item: Slice, sample: SliceDataSample) -> SlicePrediction:
        sample = sample.to('cpu')
        names = self.slice_classes
        if sample.get('pred_slice') is not None:
            scores = to_array(sample.pred_slice.score).reshape(-1)
            if not np.isfinite(scores).all():
                raise ValueError(f'the model gives {scores.tolist()} as probabilities of {item.name}: the '
                                 'checkpoint\'s weights are not finite; take an earlier one')
            names = names or tuple(f'class {index}' for index in range(len(scores)))
            if len(names) != len(scores):
                raise ValueError(f'the model has {plural(len(scores), "slice class")}, but {plural(len(names), "name")}, '
                                 f'{", ".join(names)}: set slice_classes in the config')
        return SlicePrediction(item, sample, names, self.lesion_classes)


def refused(scan: Scan, error: Exception) -> Problem:
    """Return the problem of a scan whose check raised: a refusal for a ValueError, otherwise a failure."""
    if isinstance(error, ValueError):
        return Problem(scan.info.name, brief(error))
    return failure(scan.info.name, 'cannot be checked', error)


def failure(source: str, what: str, error: Exception, key: str | None = None) -> Problem:
    """Return the problem of an unexpected failure.

    ``MMAFFINITY_TRACEBACK=1`` shows its traceback.
    """
    if os.environ.get('MMAFFINITY_TRACEBACK') == '1':
        traceback.print_exception(error)
    return Problem(source, f'{what}: {brief(error) if str(error) else type(error).__name__}', key, failed=True)
