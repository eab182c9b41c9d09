"""Python entry point for prediction with an exported model, without torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmaffinity.runtime import ModelFile, Session, open_session, read_model_file
from mmaffinity.scans import ReadOptions, Slice
from mmaffinity.utils.mask_pasting import paste_masks
from mmaffinity.utils.provenance import SYNTHETIC

from .base_inferencer import SliceInferencer, SlicePrediction

# Margins at which at most 0.5 % of real slices changed class against float64, for one model in OpenVINO: docs/deployment.md.
FALLBACK_MARGINS = {'bfloat16': 0.15, 'int8': 0.6}
# Entries of the description that both models must share.
SHARED_ENTRIES = (
    'checkpoint_sha256',
    'config_sha256',
    'mode',
    'preprocessing',
    'slice_classes',
    'lesion_classes',
    'mask_threshold',
    'score_threshold',
)
REPEATED = 'class undecided in {}: predicted again in float32'


class Fields(dict):
    """A dict whose items are also attributes, like MMEngine's data elements."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class OnnxInferencer(SliceInferencer):
    """Predict slices with a model exported by ``mmaffinity export onnx``, in ONNX Runtime or OpenVINO.

        inferencer = OnnxInferencer('affinity_c8.onnx')
        for prediction in inferencer('scan_folder'):
            print(prediction.slice.name, prediction.label, prediction.probabilities)

    Args:
        model: the exported file.
        backend, precision, threads: see :func:`~mmaffinity.runtime.open_session`.
        batch_size: slices per batch; more than 1 gains nothing on a CPU.
        options: conversion of pixels to grey levels: Hounsfield window, rescaling, range of 16-bit images.
        fallback: the same model exported in float32, which predicts undecided slices again, in the same runtime, if ``model``
            runs in bfloat16 or int8. In bfloat16, it may be the same file. A note marks these slices. None for no fallback.
        fallback_margin: a slice is undecided if the probabilities of its two most probable classes differ by less than this;
            None means 0.15 in bfloat16 and 0.6 in int8.

    Attributes:
        model: the file's content and description.
        session: the runtime.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if it is not an exported model, the runtime is not installed, an argument is invalid, or ``fallback`` does
            not suit ``model``.
    """

    def __init__(
        self,
        model: str | Path,
        backend: str = 'auto',
        precision: str = 'auto',
        threads: int | None = None,
        batch_size: int | None = None,
        options: ReadOptions | None = None,
        fallback: str | Path | None = None,
        fallback_margin: float | None = None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, not {batch_size}')
        self.model = read_model_file(model)
        self.session = open_session(self.model, backend, precision, threads)
        self.options, self.batch_size = options or ReadOptions(), batch_size or 1
        self.slice_classes, self.lesion_classes = self.model.slice_classes, self.model.lesion_classes
        described = self.model.description
        self.description = dict(
            config=described.get('config'),
            config_sha256=described['config_sha256'],
            checkpoint=str(model),
            checkpoint_sha256=self.model.sha256,
            slice_classes=list(self.slice_classes),
            lesion_classes=list(self.lesion_classes),
            backend=f'{self.session.backend} {self.session.version}',
            precision=self.session.precision,
            exported_from=described['checkpoint_sha256'],
        )
        if described.get(SYNTHETIC):
            self.description[SYNTHETIC] = True
        self._fallback: Session | None = None
        if fallback is not None:
            second = read_model_file(fallback)
            self.fallback_margin = check_fallback(self.model, self.session.precision, second, fallback_margin)
            self._fallback = open_session(second, self.session.backend, 'float32', threads)
            self.description.update(fallback_sha256=second.sha256, fallback_margin=self.fallback_margin)
        elif fallback_margin is not None:
            raise ValueError('fallback_margin needs a fallback')

    def _prepare(self, item: Slice) -> tuple[np.ndarray, tuple[int, int]]:
        size = self.model.width, self.model.height
        grey = cv2.resize(np.ascontiguousarray(item.grey), size, interpolation=cv2.INTER_LINEAR)
        return grey.astype(np.float32)[None], item.grey.shape

    def _shape(self, packed: tuple) -> tuple[int, ...]:
        return packed[0].shape

    def _forward(self, packed: list[tuple]) -> list[Fields]:
        slices = np.stack([entry[0] for entry in packed])
        outputs = self.session.run(slices)
        undecided = np.zeros(len(packed), bool)
        if self._fallback is not None and 'probabilities' in outputs and outputs['probabilities'].shape[1] > 1:
            second, best = np.sort(outputs['probabilities'], axis=1)[:, -2:].T
            undecided = ~(best - second >= self.fallback_margin)  # also if a probability is NaN
            if undecided.any():
                for name, value in self._fallback.run(slices[undecided]).items():
                    outputs[name][undecided] = value
        samples = [
            self._sample({name: value[row] for name, value in outputs.items()}, shape) for row, (_, shape) in enumerate(packed)
        ]
        for sample, again in zip(samples, undecided):
            sample['repeated'] = bool(again)
        return samples

    def _predicted(self, item: Slice, sample: Any) -> SlicePrediction:
        if sample['repeated']:
            item = replace(item, notes=(*item.notes, REPEATED.format(self.session.precision)))
        return super()._predicted(item, sample)

    def _sample(self, outputs: dict[str, np.ndarray], shape: tuple[int, int]) -> Fields:
        """Return the fields of a :class:`SliceDataSample`, in pixels of a slice of this shape."""
        height, width = shape
        scale = np.array([self.model.width / width, self.model.height / height] * 2, np.float32)
        sample = Fields()
        if 'count' in outputs:
            number = int(outputs['count'])
            boxes, scores = outputs['boxes'][:number] / scale, outputs['scores'][:number]
            if not (np.isfinite(outputs['scores']).all() and np.isfinite(boxes).all()):
                raise ValueError("the network's output is not finite: the slice or the weights contain NaN or infinity")
            sample['pred_instances'] = Fields(bboxes=boxes, scores=scores, labels=outputs['labels'][:number])
            if 'masks' in outputs:
                probabilities = 1 / (1 + np.exp(-np.clip(outputs['masks'][:number], -80, 80)))
                sample['pred_instances']['masks'] = paste_masks(probabilities, boxes, height, width, self.model.mask_threshold)
        if 'logits' in outputs:
            # The label is taken from the logits: in float32, the sigmoids of two confident classes are both 1.
            sample['pred_slice'] = Fields(
                label=outputs['logits'].argmax(),
                score=outputs['probabilities'],
                logits=outputs['logits'],
                roi_boxes=outputs['roi_boxes'] / scale,
                roi_scores=outputs['roi_scores'],
                roi_features=outputs['X'],
                affinity=outputs['Y'],
                features=outputs['z'],
                roi_weights=outputs['roi_weights'],
            )
        return sample


def check_fallback(model: ModelFile, precision: str, fallback: ModelFile, margin: float | None = None) -> float:
    """Check that a fallback is the float32 form of a model that classifies slices in lower precision.

    Returns:
        The margin below which slices are undecided: the given one, or the default for ``precision``.

    Raises:
        ValueError: if the model runs in float32 or does not choose between classes, the fallback is not its float32 form, or
            the margin is not above 0 and at most 1.
    """
    if precision == 'float32':
        raise ValueError(
            f'{model.path} runs in float32, which needs no fallback: omit the fallback, run in bfloat16, or use an int8 model'
        )
    if len(model.slice_classes) == 1 or model.description.get('mode') == 'detection':
        raise ValueError(f'{model.path} does not choose between slice classes, so no slice can be undecided: omit the fallback')
    if fallback.description['precision'] != 'float32':
        raise ValueError(f'{fallback.path} is an int8 model: the fallback must be exported without --int8')
    other = [name for name in SHARED_ENTRIES if model.description.get(name) != fallback.description.get(name)]
    if other:
        raise ValueError(
            f'{fallback.path} is not the same model as {model.path} (different {", ".join(other)}): export both from one '
            'checkpoint with the same config and options'
        )
    if margin is not None and not 0 < margin <= 1:
        raise ValueError(f'fallback_margin must be above 0 and at most 1, not {margin}')
    return FALLBACK_MARGINS[precision] if margin is None else margin
