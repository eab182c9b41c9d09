"""Model descriptions as data: the JSON next to shared weights, and the config read from it.

Python configs are code, and in MMEngine so are YAML and JSON configs: ``custom_imports`` imports modules, ``_base_`` may name
a Python file, a ``type`` with a dot calls anything importable, and ``!!python`` tags of YAML call functions. Model descriptions
are therefore not read by MMEngine. They contain the model and its slice preprocessing, and may name only the modules listed
here.
"""

import json
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS, TASK_UTILS, TRANSFORMS
from mmengine.config import Config

FORMAT, SCHEMA = 'mmaffinity model', 1
FIELDS = ('model', 'image_size', 'slice_classes', 'test_dataloader')
# Allowed in addition to this package's modules: those of MMDetection that configs/ use. None reads a file, accesses the
# network or evaluates text.
FOREIGN_TYPES = frozenset(
    {
        'AnchorGenerator',
        'BN',
        'CrossEntropyLoss',
        'DeltaXYWHBBoxCoder',
        'DetDataPreprocessor',
        'FCNMaskHead',
        'FPN',
        'GN',
        'L1Loss',
        'LoadImageFromNDArray',
        'MaskRCNN',
        'MaxIoUAssigner',
        'RPNHead',
        'RandomSampler',
        'ResNet',
        'Resize',
        'RoIAlign',
        'Shared2FCBBoxHead',
        'SingleRoIExtractor',
        'SmoothL1Loss',
        'StandardRoIHead',
        'SwinTransformer',
        'nms',
    }
)
# Modules of this package that open files or URLs from their arguments: timm downloads, loading transforms read files.
OWN_TYPES_LEFT_OUT = frozenset({'TimmBackbone', 'LoadCTSlice', 'LoadCTSliceFromArray'})
# Fields that name files or URLs, or pass on a configuration.
REFUSED_KEYS = frozenset({'init_cfg', 'pretrained', 'custom_imports', 'checkpoint', 'statistics', 'plugins'})
TUPLE = 'tuple'  # key that marks tuples, which JSON lacks and MMDetection distinguishes from lists: {"tuple": [...]}
MAX_DEPTH = 40


def read_shared_config(path: str | Path) -> Config:
    """Read the config of a model description, without importing, evaluating or opening anything that it names.

    Args:
        path: the JSON from ``mmaffinity export safetensors``.

    Returns:
        A config with the model, its classes and the test pipeline: enough to predict, not to train.

    Raises:
        ValueError: if the file is not a model description, or names a module or field that is not allowed.
    """
    content = read_description(path)
    if content is None:
        raise ValueError(
            f'{path} is not a model description: a JSON config must come from mmaffinity export '
            'safetensors; other configs are Python files'
        )
    try:
        config = decode(content.get('config'))
        check_shared_config(config)
    except ValueError as error:
        raise ValueError(f'{path} is not a valid model description: {error}') from error
    return Config(config, filename=str(path))


def read_description(path: str | Path) -> dict | None:
    """Return the content of a model description, or None if the file is not one.

    Raises:
        ValueError: if it was written by a later version of this package.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError, OSError):
        return None
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        return None
    if content.get('schema') != SCHEMA:
        raise ValueError(f'{path} has schema {content.get("schema")!r}, but this version reads {SCHEMA}; update mmaffinity')
    return content


def check_shared_config(config: Any) -> None:
    """Check that a config describes a model of known modules and nothing else.

    Raises:
        ValueError: with the first field that is not allowed.
    """
    if not isinstance(config, dict) or not isinstance(config.get('model'), dict):
        raise ValueError('it has no "model"')
    unknown = [key for key in config if key not in FIELDS]
    if unknown:
        raise ValueError(f'it has the field {ascii(unknown[0])[:80]}; allowed are {", ".join(FIELDS)}')
    if not isinstance(config['model'].get('type'), str):
        raise ValueError('its model has no type')
    loader = config.get('test_dataloader')
    dataset = loader.get('dataset') if isinstance(loader, dict) and set(loader) == {'dataset'} else None
    pipeline = dataset.get('pipeline') if isinstance(dataset, dict) and set(dataset) == {'pipeline'} else None
    if (
        not isinstance(pipeline, list)
        or not pipeline
        or not all(isinstance(step, dict) and isinstance(step.get('type'), str) for step in pipeline)
    ):
        raise ValueError('its test_dataloader must be {"dataset": {"pipeline": [...]}} with the transforms of a slice')
    classes = config.get('slice_classes', ())
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f'its slice_classes must be a list of names, not {ascii(classes)[:80]}')
    _check(config, allowed_types())


def allowed_types() -> frozenset[str]:
    """Return the names allowed as ``type`` in a model description."""
    own = {
        name
        for registry in (MODELS, TASK_UTILS, TRANSFORMS)
        for name, module in registry.module_dict.items()
        if module.__module__.startswith('mmaffinity.')
    }
    return frozenset(own - OWN_TYPES_LEFT_OUT) | FOREIGN_TYPES


def _check(value: Any, allowed: frozenset[str]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if key.startswith('_') or (key in REFUSED_KEYS and item is not None):
                raise ValueError(f'the field {ascii(key)[:80]} is not allowed in a shared config')
            if key == 'type' and (not isinstance(item, str) or item not in allowed):
                raise ValueError(
                    f'the type {ascii(item)[:80]} is not allowed in a shared config, which may only name modules '
                    'of this package and those of MMDetection that its configs use; if you trust its author, '
                    'ask for the Python config'
                )
            _check(item, allowed)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item, allowed)


def encode(value: Any, depth: int = 0) -> Any:
    """Return a config value in JSON form; tuples become ``{"tuple": [...]}``.

    Raises:
        ValueError: if it contains anything other than None, numbers, strings, lists, tuples and dicts with string keys.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f'it is nested deeper than {MAX_DEPTH} levels')
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return {TUPLE: [encode(item, depth + 1) for item in value]}
    if isinstance(value, list):
        return [encode(item, depth + 1) for item in value]
    if isinstance(value, dict) and all(type(key) is str for key in value) and set(value) != {TUPLE}:
        return {key: encode(item, depth + 1) for key, item in value.items()}
    raise ValueError(f'{ascii(value)[:80]} is not plain data; name modules by strings and use plain values in the config')


def decode(value: Any, depth: int = 0) -> Any:
    """Reverse :func:`encode`.

    Raises:
        ValueError: if it is nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f'it is nested deeper than {MAX_DEPTH} levels')
    if isinstance(value, list):
        return [decode(item, depth + 1) for item in value]
    if isinstance(value, dict):
        if set(value) == {TUPLE} and isinstance(value[TUPLE], list):
            return tuple(decode(item, depth + 1) for item in value[TUPLE])
        return {key: decode(item, depth + 1) for key, item in value.items()}
    return value
