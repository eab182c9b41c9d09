"""Predict slices with any runtime: typed predictions, reading, batching and error handling."""

import os
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmaffinity.scans import Problem, ReadOptions, Scan, ScanInfo, Slice, SliceRecord, find_scans, measure
from mmaffinity.scans.discovery import Input
from mmaffinity.scans.opening import brief
from mmaffinity.utils.wording import plural
from mmaffinity.visualization.sample_arrays import to_array

OnProblem = Callable[[Problem], None]
# Entries of a description that identify a model: results that differ in any of them are not mixed.
MODEL_ENTRIES = ('config_sha256', 'checkpoint_sha256', 'precision', 'fallback_sha256', 'fallback_margin')


@dataclass(frozen=True)
class SlicePrediction:
    """The prediction for one slice.

    Attributes:
        slice: the slice as given to the model, with its position in the scan.
        sample: ``pred_slice`` and ``pred_instances``, those that the model predicts, on the CPU; boxes and masks are in pixels
            of ``slice.grey``. A :class:`SliceDataSample`; if the model runs without torch, the same fields with arrays.
        slice_classes: names of the K slice classes.
        lesion_classes: names of the lesion classes.
        scan: the scan of the slice; None for slices passed individually.
    """

    slice: Slice
    sample: Any
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
        from mmaffinity.visualization.overlays import draw_overlay

        return draw_overlay(
            self.slice.grey if self.slice.color is None else self.slice.color[..., ::-1],
            self.sample,
            self.slice_classes if self.label is not None else None,
            score_thr=score_thr,
            show_gt=False,
            show_rois=show_rois,
            lesion_names=self.lesion_classes,
            name=self.slice.name,
        )


class SliceInferencer(ABC):
    """Predict slices from files, folders, DICOM series, NIfTI volumes and arrays.

    Slices are predicted in batches and yielded one by one while the input is read, so a folder of any size needs the memory of
    one batch and a few hundred bytes per slice for names. The other slices of a batch affect a prediction only by rounding:
    convolutions may sum in a different order for a different batch size.

    Subclasses prepare slices and run the model.

    Attributes:
        options: conversion of pixels to grey levels: Hounsfield window, rescaling, range of 16-bit images.
        batch_size: slices per batch.
        slice_classes, lesion_classes: names of the classes.
        description: the model and its hashes, as plain data.
    """

    options: ReadOptions
    batch_size: int
    slice_classes: tuple[str, ...]
    lesion_classes: tuple[str, ...]
    description: dict[str, Any]

    def _read(self, scan: Scan, done: Container[str]) -> Iterator[Slice | Problem]:
        """Yield the slices of a scan, except those whose key is in ``done``."""
        return scan.read(done)

    @abstractmethod
    def _prepare(self, item: Slice) -> Any:
        """Return the model's input for a slice."""

    @abstractmethod
    def _shape(self, packed: Any) -> tuple[int, ...]:
        """Return the shape of a prepared slice; slices of different shapes cannot share a batch."""

    @abstractmethod
    def _forward(self, packed: list[Any]) -> list[Any]:
        """Run the model on a batch of prepared slices, and return a sample on the CPU for each."""

    def roi_shares(self, pred_slice: Any) -> Any:
        """Return the share of each RoI in each class, (M, K), see :class:`RoIEvidence`; None if the model does not give it."""
        return None

    def __call__(self, inputs: Input | Iterable[Input], on_problem: OnProblem | None = None) -> Iterator[SlicePrediction]:
        """Predict all slices of the inputs.

        Args:
            inputs: a file, a folder, an array of one slice ((H, W) or colour; uint8, uint16, or float in 8-bit grey
                levels), or an iterable of these; see :func:`find_scans`.
            on_problem: called for each input that cannot be read, is not an axial CT slice, or fails. By default, each causes
                a warning, except clutter.

        Yields:
            Predictions, scan by scan, each in the order of its slices.

        Raises:
            ValueError: at the end, without ``on_problem``, if inputs were skipped and nothing could be predicted; the message
                says why.
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
            raise ValueError(
                f'nothing could be predicted; {plural(num_problems, "input", "was")} skipped: ' + '; '.join(map(str, problems))
            )

    def check(self, scan: Scan) -> None:
        """Check a scan as a whole before prediction.

        Raises:
            ValueError: if it is not suitable for the model.
        """
        if self.options.color and scan.info.kind != 'images':
            raise ValueError('the model takes colour images (PNG, JPEG and others), not DICOM or NIfTI')
        scan.check()

    def predict_scan(self, scan: Scan, done: Container[str] = ()) -> Iterator[SlicePrediction | Problem]:
        """Predict the slices of a scan in order, except those whose key is in ``done``.

        A scan that is refused as a whole, or fails for any reason, is yielded as one problem without a key.
        """
        try:
            self.check(scan)
        except Exception as error:
            yield refused(scan, error)
            return
        try:
            for result in self.predict_slices(self._read(scan, done)):
                yield result if isinstance(result, Problem) else replace(result, scan=scan.info)
        except Exception as error:
            yield failure(scan.info.name, 'cannot be predicted', error)

    def predict_slices(self, slices: Iterable[Slice | Problem]) -> Iterator[SlicePrediction | Problem]:
        """Predict slices in batches; problems keep their place in the order."""
        waiting: list[tuple[Slice | Problem, Any]] = []
        size = None
        for item in slices:
            packed = None
            if not isinstance(item, Problem):
                try:
                    packed = self._prepare(item)
                except Exception as error:
                    item = failure(item.name, 'cannot be prepared for the model', error, item.key)
            shape = size if packed is None else self._shape(packed)
            # A test pipeline that keeps the aspect ratio gives inputs of several sizes, which cannot share a batch.
            full = sum(entry is not None for _, entry in waiting) == self.batch_size
            if full or (size is not None and shape != size) or len(waiting) >= 64 * self.batch_size:
                yield from self._flush(waiting)
                waiting = []
            size = shape
            waiting.append((item, packed))
        yield from self._flush(waiting)

    def _flush(self, waiting: list) -> Iterator[SlicePrediction | Problem]:
        packed = [entry for _, entry in waiting if entry is not None]
        try:
            samples = iter(self._forward(packed) if packed else ())
        except Exception as error:
            if len(packed) > 1:  # one by one: a slice too large for the memory must not fail the others
                for item, entry in waiting:
                    yield from self._flush([(item, entry)])
                return
            for item, entry in waiting:
                yield item if entry is None else failure(item.name, 'cannot be predicted', error, item.key)
            return
        for item, entry in waiting:
            yield item if entry is None else self._predicted(item, next(samples))

    def _predicted(self, item: Slice, sample: Any) -> SlicePrediction:
        names = self.slice_classes
        if sample.get('pred_slice') is not None:
            scores = to_array(sample.pred_slice.score).reshape(-1)
            if not np.isfinite(scores).all():
                raise ValueError(
                    f"the probabilities of {item.name} are {scores.tolist()}: the checkpoint's weights are not finite; use an "
                    'earlier checkpoint'
                )
            names = names or tuple(f'class {index}' for index in range(len(scores)))
            if len(names) != len(scores):
                raise ValueError(
                    f'the model has {plural(len(scores), "slice class")} but {plural(len(names), "class name")} '
                    f'({", ".join(names)}): set slice_classes in the config'
                )
        return SlicePrediction(item, sample, names, self.lesion_classes)


def refused(scan: Scan, error: Exception) -> Problem:
    """Return the problem of a scan whose check raised an error: a refusal for a ValueError, otherwise a failure."""
    if isinstance(error, ValueError):
        return Problem(scan.info.name, brief(error))
    return failure(scan.info.name, 'cannot be checked', error)


def failure(source: str, what: str, error: Exception, key: str | None = None) -> Problem:
    """Return an unexpected error as a problem; ``MMAFFINITY_TRACEBACK=1`` prints its traceback.

    Args:
        source: what failed, for example the name of a slice.
        what: what happened to it, for example 'cannot be predicted'.
        error: the error.
        key: key of the slice in its scan; None for a whole scan.
    """
    if os.environ.get('MMAFFINITY_TRACEBACK') == '1':
        traceback.print_exception(error)
    return Problem(source, f'{what}: {brief(error)}', key, failed=True)
