"""Share a model as data: its weights as safetensors, everything else needed to run it as JSON."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmaffinity.utils.config import own_config
from mmaffinity.utils.files import sha256_of, whole_file, write_json_atomic
from mmaffinity.utils.optional import require
from mmaffinity.utils.prediction_pipeline import prediction_transforms, takes_color
from mmaffinity.utils.provenance import NOTICE, SYNTHETIC, now, versions
from mmaffinity.utils.shared_config import FORMAT, REFUSED_KEYS, SCHEMA, check_shared_config, decode, encode

from .loading import load_checkpoint
from .model import build_model, weights_of


def export_model(
    config: str | Path | Config, checkpoint: str | Path, out: str | Path, cfg_options: dict | None = None
) -> tuple[Path, Path]:
    """Write a model as two code-free files, ``OUT.safetensors`` and ``OUT.json``.

    The JSON contains the resolved model config, the transforms of its test pipeline, the classes, the versions, and the SHA-256
    of the weights and of their source checkpoint. Both files are written atomically. To predict with them:
    ``mmaffinity predict ... --config OUT.json --checkpoint OUT.safetensors``.

    Args:
        config: a config or its path.
        checkpoint: matching weights; its optimizer, log and random states are omitted.
        out: name of the files, with or without ``.safetensors``; existing files are replaced.
        cfg_options: config fields by dotted key.

    Returns:
        The paths of weights and JSON.

    Raises:
        FileNotFoundError: if the config or the checkpoint does not exist.
        ValueError: if they do not match, the model uses modules that a description may not name, the checkpoint is not safe to
            load, or the safetensors package is missing.
    """
    safetensors = require('safetensors.torch', 'safetensors')
    cfg = own_config(config, cfg_options)
    out = Path(out)
    stem = out.with_suffix('') if out.suffix in ('.safetensors', '.json') else out
    weights_path, json_path = Path(f'{stem}.safetensors'), Path(f'{stem}.json')
    if any(path.exists() and path.samefile(checkpoint) for path in (weights_path, json_path)):
        raise ValueError(f'{weights_path} is the input checkpoint; choose another output file')
    content = load_checkpoint(checkpoint)
    # Copies, because safetensors rejects tensors that share memory, as views in a checkpoint may.
    weights = {
        name: value.detach().to('cpu').clone(memory_format=torch.contiguous_format)
        for name, value in weights_of(content, checkpoint).items()
    }
    meta = content.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    names = meta.get('dataset_meta') or {}
    classes = list(map(str, names.get('slice_classes') or cfg.get('slice_classes') or ()))
    description = describe_model(cfg, classes)
    try:
        check_shared_config(description)
        encoded = encode(description)
    except ValueError as error:
        raise ValueError(f'{cfg.filename} cannot be shared as data: {error}') from error
    # Build the model from its description, as the recipient will.
    build_model(Config(decode(encoded), filename=cfg.filename), checkpoint, dict(state_dict=weights))
    record = dict(
        format=FORMAT,
        schema=SCHEMA,
        notice=NOTICE,
        created=now(),
        weights=dict(file=weights_path.name),
        slice_classes=classes,
        classes=list(map(str, names.get('classes') or ('lesion',))),
        config=encoded,
        **({SYNTHETIC: True} if meta.get(SYNTHETIC) else {}),
        source=dict(
            config=Path(cfg.filename).name if cfg.filename else None,
            checkpoint=Path(checkpoint).name,
            checkpoint_sha256=sha256_of(checkpoint),
            epoch=_number(meta.get('epoch')),
            iter=_number(meta.get('iter')),
            seed=_number(meta.get('seed')),
        ),
        versions=versions(),
    )
    with whole_file(weights_path) as file:
        # A single metadata entry: safetensors writes several in varying order, and equal weights should give equal bytes.
        safetensors.save_file(weights, file.name, metadata=dict(format='pt'))
        record['weights'].update(sha256=sha256_of(file.name), bytes=Path(file.name).stat().st_size)
    # If this fails, loading reports that weights and JSON do not match.
    write_json_atomic(json_path, record)
    return weights_path, json_path


def describe_model(cfg: Config, slice_classes: list[str]) -> dict:
    """Return the parts of a config that describe its model, without local files and addresses."""
    plain = cfg.to_dict()
    transforms = prediction_transforms(cfg)
    steps = Config(dict(steps=transforms if takes_color(transforms) else transforms[1:])).to_dict()['steps']
    described = dict(
        model=_without_files(plain['model']),
        slice_classes=slice_classes,
        test_dataloader=dict(dataset=dict(pipeline=[_without_files(step) for step in steps])),
    )
    if plain.get('image_size') is not None:
        described['image_size'] = tuple(plain['image_size'])
    return described


def _without_files(value: Any) -> Any:
    if isinstance(value, dict):
        # MMEngine adds _scope_ to what a config inherits from MMDetection, which is where all modules are looked up anyway.
        return {key: _without_files(item) for key, item in value.items() if key not in REFUSED_KEYS and key != '_scope_'}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_files(item) for item in value)
    return value


def _number(value: Any) -> int | None:
    return value if type(value) is int else None
