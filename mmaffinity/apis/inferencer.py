"""The Python entry point for prediction: from files or arrays to typed predictions."""
import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmaffinity.scans import ReadOptions, Slice
from mmaffinity.structures import CLASSIFICATION, SliceDataSample
from mmaffinity.utils.checkpoint import explain_mismatch, load_checkpoint
from mmaffinity.utils.config import apply_settings, load_config
from mmaffinity.utils.device import find_device
from mmaffinity.utils.files import sha256_of

from .base_inferencer import SliceInferencer, SlicePrediction

__all__ = ['AffinityInferencer', 'SlicePrediction']

PRECISIONS = ('auto', 'float32', 'bfloat16')


class AffinityInferencer(SliceInferencer):
    """Predict slices with torch, from files, folders, DICOM series, NIfTI volumes and arrays.

        inferencer = AffinityInferencer('configs/affinity_c8.py', 'epoch_100.pth')
        for prediction in inferencer('scan_folder'):
            print(prediction.slice.name, prediction.label, prediction.probabilities)

    See :class:`SliceInferencer`.

    Args:
        config: a config or its path, of any model of this package. Its test pipeline prepares the slices.
        checkpoint: matching weights; loaded without executing code in it.
        device: 'cpu', 'cuda', 'cuda:1', ..., see :func:`~mmaffinity.utils.device.find_device`; None means a GPU if there is
            one.
        batch_size: slices per batch; None means 8 on a GPU and 1 on the CPU, where more gain nothing.
        options: conversion of pixels to grey levels: Hounsfield window, rescaling, range of 16-bit images.
        cfg_options: overrides of config fields by dotted key.
        precision: 'float32' ('auto' means it), or 'bfloat16' by automatic mixed precision, faster where the hardware has it.

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
                 precision: str = 'auto') -> None:
        if precision not in PRECISIONS:
            raise ValueError(f'precision={precision!r} must be one of {", ".join(PRECISIONS)}')
        if batch_size is not None and batch_size < 1:
            raise ValueError(f'batch_size={batch_size} must be 1 or more')
        if isinstance(config, Config):
            cfg = copy.deepcopy(config)
            cfg.merge_from_dict(cfg_options or {})
            apply_settings(cfg)
        else:
            cfg = load_config(config, cfg_options)
        self.cfg, self.options = cfg, options or ReadOptions()
        self.device = find_device(device)
        self.batch_size = batch_size or (1 if self.device.type == 'cpu' else 8)
        init_default_scope('mmdet')
        content = load_checkpoint(checkpoint)
        self.model = _build_model(cfg, content, checkpoint).to(self.device).eval()
        self.pipeline = Compose([TRANSFORMS.build(transform) for transform in test_transforms(cfg)])
        meta = (content.get('meta') or {}).get('dataset_meta') or {}
        names = meta.get('slice_classes') or cfg.get('slice_classes') or _metainfo(cfg).get('slice_classes') or ()
        self.slice_classes = tuple(str(name) for name in names)
        self.lesion_classes = tuple(str(name) for name in meta.get('classes') or ('lesion',))
        self.description = dict(
            config=str(cfg.filename) if cfg.filename else None, config_sha256=config_hash(cfg),
            checkpoint=str(checkpoint), checkpoint_sha256=sha256_of(checkpoint), slice_classes=list(self.slice_classes),
            lesion_classes=list(self.lesion_classes))
        self.precision = 'float32' if precision == 'auto' else precision
        if self.precision != 'float32':
            self.description['precision'] = self.precision

    def _prepare(self, item: Slice) -> dict:
        return self.pipeline(dict(img=item.grey, img_path=item.name, img_id=item.index, task=CLASSIFICATION))

    def _shape(self, packed: dict) -> tuple[int, ...]:
        return tuple(packed['inputs'].shape)

    def _forward(self, packed: list[dict]) -> list[SliceDataSample]:
        mixed = self.precision == 'bfloat16'
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            samples = self.model.test_step(dict(inputs=[entry['inputs'] for entry in packed],
                                                data_samples=[entry['data_samples'] for entry in packed]))
        return [sample.to('cpu') for sample in samples]


def _build_model(cfg: Config, content: dict, checkpoint: str | Path) -> torch.nn.Module:
    model_cfg = copy.deepcopy(cfg.model)
    if model_cfg.get('backbone') is not None:
        model_cfg.backbone.init_cfg = None  # the checkpoint has all weights
    model = MODELS.build(model_cfg)
    state = content.get('state_dict', content)
    state = {name: value for name, value in state.items()} if isinstance(state, dict) else {}
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f'{checkpoint} holds no weights of this package; convert published checkpoints with '
                         'mmaffinity convert published')
    mismatch = explain_mismatch(model.state_dict(), state)
    if mismatch:
        raise ValueError(f'{checkpoint} does not fit the config {cfg.filename}: {mismatch}')
    model.load_state_dict(state)
    return model


def test_transforms(cfg: Config) -> list[dict]:
    """Return the config's test pipeline for slices in memory, without the loading of files and annotations.

    Raises:
        ValueError: if the config has no test data set with a pipeline, or one that crops to body boxes.
    """
    transforms = None
    for dataset in _datasets(cfg):
        pipeline = dataset.get('pipeline')
        # Of lesion and slice data sets, take the latter, which come last.
        transforms = pipeline or transforms
    if not transforms:
        raise ValueError(f'the config {cfg.filename} has no test data set whose pipeline could prepare slices; add '
                         'test_dataloader')
    if any(transform['type'] == 'CropToBodyBox' and transform.get('required', True) for transform in transforms):
        raise ValueError(f'the model of {cfg.filename} sees slices cropped to the body boxes of its lists (CropToBodyBox), '
                         'which scans to predict do not have; take a model that was trained on whole slices')
    kept = [dict(transform) for transform in transforms if 'Load' not in transform['type']]
    return [dict(type='LoadCTSliceFromArray'), *kept]


setattr(test_transforms, '__test__', False)  # noqa: B010  (otherwise pytest would collect it as a test)


def _datasets(cfg: Config) -> Iterator[dict]:
    """Return the test data sets; for a concatenation or wrapper, those inside it."""
    waiting = [cfg[name].get('dataset') for name in ('val_dataloader', 'test_dataloader') if cfg.get(name)]
    while waiting:
        dataset = waiting.pop(0)
        if dataset is None:
            continue
        inner = dataset.get('datasets') or ([dataset['dataset']] if dataset.get('dataset') else [])
        waiting = [*inner, *waiting]
        if not inner:
            yield dataset


def _metainfo(cfg: Config) -> dict:
    for dataset in _datasets(cfg):
        if (dataset.get('metainfo') or {}).get('slice_classes'):
            return dataset['metainfo']
    return {}


def config_hash(cfg: Config) -> str:
    """SHA-256 of a config's content, independent of the files it was written in."""
    return hashlib.sha256(json.dumps(cfg.to_dict(), sort_keys=True, default=str).encode()).hexdigest()
