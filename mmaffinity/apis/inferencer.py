"""Python entry point for prediction with torch, from files or arrays to typed predictions."""

from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from torch import Tensor

import mmaffinity.registration  # noqa: F401  (the modules that configs name)
from mmaffinity.checkpoints import build_model, load_checkpoint
from mmaffinity.models.cls_heads import AffinityClsHead, roi_evidence
from mmaffinity.scans import Problem, ReadOptions, Scan, Slice
from mmaffinity.scans.read_ahead import read_ahead
from mmaffinity.structures import CLASSIFICATION, SliceDataSample
from mmaffinity.utils.config import own_config
from mmaffinity.utils.device import find_device
from mmaffinity.utils.files import sha256_of
from mmaffinity.utils.prediction_pipeline import prediction_transforms, slice_class_names, takes_color
from mmaffinity.utils.provenance import SYNTHETIC, config_hash

from .base_inferencer import SliceInferencer

PRECISIONS = ('auto', 'float32', 'bfloat16')


class AffinityInferencer(SliceInferencer):
    """Predict slices with torch, from files, folders, DICOM series, NIfTI volumes and arrays.

        inferencer = AffinityInferencer('configs/affinity_c8.py', 'epoch_100.pth')
        for prediction in inferencer('scan_folder'):
            print(prediction.slice.name, prediction.label, prediction.probabilities)

    See :class:`SliceInferencer`.

    Args:
        config: a config of any model of this package, or its path. Its test pipeline prepares the slices.
        checkpoint: matching weights, loaded without executing code from the file.
        device: 'cpu', 'cuda', 'cuda:1', ..., see :func:`~mmaffinity.utils.device.find_device`; None means a GPU if there is
            one.
        batch_size: slices per batch; None means 8 on a GPU and 1 on the CPU, where more than 1 gains nothing.
        options: conversion of pixels to grey levels: Hounsfield window, rescaling, range of 16-bit images.
        cfg_options: overrides of config fields by dotted key.
        workers: processes that read, decode and window slices while the network runs; 0 reads between batches. None means 1 on
            the CPU and 4 on a GPU. They are used for scans of at least 16 slices, on systems that can fork.
        precision: 'float32', the meaning of 'auto', or 'bfloat16': automatic mixed precision, faster on hardware that has it.

    Attributes:
        slice_classes, lesion_classes: names, from the checkpoint if it has them, otherwise from the config.
        description: config, checkpoint and their hashes, as plain data.

    Raises:
        FileNotFoundError: if the config or the checkpoint does not exist.
        ValueError: if they do not match, the checkpoint is not safe to load, or an argument is invalid.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        device: str | int | torch.device | None = None,
        batch_size: int | None = None,
        options: ReadOptions | None = None,
        cfg_options: dict | None = None,
        workers: int | None = None,
        precision: str = 'auto',
    ) -> None:
        if workers is not None and workers < 0:
            raise ValueError(f'workers must be at least 0, not {workers}')
        if precision not in PRECISIONS:
            raise ValueError(f'precision must be one of {", ".join(PRECISIONS)}, not {precision!r}')
        if batch_size is not None and batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, not {batch_size}')
        cfg = own_config(config, cfg_options)
        self.cfg, self.options = cfg, options or ReadOptions()
        self.device = find_device(device)
        self.batch_size = batch_size or (1 if self.device.type == 'cpu' else 8)
        self.workers = workers if workers is not None else 1 if self.device.type == 'cpu' else 4
        content = load_checkpoint(checkpoint)
        self.model = build_model(cfg, checkpoint, content).to(self.device).eval()
        transforms = prediction_transforms(cfg)
        self.options = replace(self.options, color=takes_color(transforms))
        self.pipeline = Compose([TRANSFORMS.build(transform) for transform in transforms])
        meta = content.get('meta') or {}
        names = meta.get('dataset_meta') or {}
        self.slice_classes = tuple(map(str, names.get('slice_classes') or slice_class_names(cfg)))
        self.lesion_classes = tuple(str(name) for name in names.get('classes') or ('lesion',))
        self.description = dict(
            config=str(cfg.filename) if cfg.filename else None,
            config_sha256=config_hash(cfg),
            checkpoint=str(checkpoint),
            checkpoint_sha256=sha256_of(checkpoint),
            slice_classes=list(self.slice_classes),
            lesion_classes=list(self.lesion_classes),
        )
        self.precision = 'float32' if precision == 'auto' else precision
        if self.precision != 'float32':
            self.description['precision'] = self.precision
        if meta.get(SYNTHETIC):
            self.description[SYNTHETIC] = True

    def _read(self, scan: Scan, done: Container[str]) -> Iterator[Slice | Problem]:
        return read_ahead(scan, done, self.workers)

    def roi_shares(self, pred_slice: BaseDataElement) -> Tensor | None:
        head = getattr(getattr(self.model, 'roi_head', None), 'cls_head', None)
        if not isinstance(head, AffinityClsHead):
            return None
        features, weights = pred_slice.roi_features.to(self.device), pred_slice.roi_weights.to(self.device)
        return roi_evidence(head, features, weights).shares

    def _prepare(self, item: Slice) -> dict:
        img = item.grey if item.color is None else item.color
        return self.pipeline(dict(img=img, img_path=item.name, img_id=item.index, task=CLASSIFICATION))

    def _shape(self, packed: dict) -> tuple[int, ...]:
        return tuple(packed['inputs'].shape)

    def _forward(self, packed: list[dict]) -> list[SliceDataSample]:
        mixed = self.precision == 'bfloat16'
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            samples = self.model.test_step(
                dict(inputs=[entry['inputs'] for entry in packed], data_samples=[entry['data_samples'] for entry in packed])
            )
        samples = [sample.to('cpu') for sample in samples]
        if mixed:
            for sample in samples:
                _to_float32(sample)
        return samples


def _to_float32(element: BaseDataElement) -> None:
    """Convert bfloat16 results in place: NumPy has no such type, and attribution combines them with float32 weights."""
    for name, value in element.items():
        if isinstance(value, BaseDataElement):
            _to_float32(value)
        elif isinstance(value, Tensor) and value.dtype == torch.bfloat16:
            setattr(element, name, value.float())
