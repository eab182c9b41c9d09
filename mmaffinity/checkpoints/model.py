"""Build a model from a config and a checkpoint, and explain mismatches between the two."""

import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmaffinity.utils.wording import first_and_rest

from .loading import load_checkpoint

# Parameter shapes and what they mean, so that messages name the cause instead of the symptom.
TELLING_SHAPES = (
    ('roi_head.cls_head.affinity.matrix', 1, 'C* (num_affinities)'),
    ('roi_head.cls_head.affinity.matrix', 0, 'beta (num_rois)'),
    ('roi_head.cls_head.classifier.4.weight', 0, 'number of slice classes (num_classes)'),
    ('roi_head.bbox_head.fc_cls.weight', 0, 'number of lesion classes plus background'),
)


def build_model(config: Config, checkpoint: str | Path, content: dict | None = None) -> Any:
    """Build a config's model on the CPU, with the weights of a checkpoint.

    Args:
        config: the config; it is not changed.
        checkpoint: path of the checkpoint.
        content: result of :func:`load_checkpoint`, if the checkpoint is already loaded.

    Raises:
        FileNotFoundError: if the checkpoint does not exist.
        ValueError: if it is not safe to load, or does not match the config.
    """
    content = load_checkpoint(checkpoint) if content is None else content
    weights = weights_of(content, checkpoint)
    init_default_scope('mmdet')
    model = MODELS.build(without_pretrained(config.model))
    problem = explain_mismatch(model.state_dict(), weights)
    if problem:
        hint = other_config(content, config.filename)
        raise ValueError(f'the checkpoint {checkpoint} does not match the config {config.filename}: {problem}{hint}')
    model.load_state_dict(weights)
    return model


def other_config(checkpoint: dict, filename: str | Path | None) -> str:
    """Return an addition to a message that names the config of a checkpoint, if it is another one; otherwise ''.

    Args:
        checkpoint: the content of the checkpoint, whose metadata names its run after the config and the time.
        filename: file of the given config.
    """
    run = (checkpoint.get('meta') or {}).get('experiment_name')
    found = re.fullmatch(r'(\w[\w.-]*)_\d{8}_\d{6}', run) if isinstance(run, str) else None
    if found is None or found[1] == Path(filename or '').stem:
        return ''
    return f'. It was trained with the config {found[1]}: give that one'


def without_pretrained(model: Any) -> Any:
    """Return a copy of a model's config without pretrained backbone weights, since a checkpoint provides all weights."""
    model = copy.deepcopy(model)
    if model.get('backbone') is not None:
        model.backbone.init_cfg = None
    return model


def weights_of(content: dict, checkpoint: str | Path) -> dict[str, Tensor]:
    """Return the weights in the content of a checkpoint: its 'state_dict', or all of it.

    Raises:
        ValueError: if it contains no weights of this package.
    """
    weights = content.get('state_dict', content)
    if not isinstance(weights, dict) or not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(
            f'{checkpoint} contains no weights of this package; convert published checkpoints with mmaffinity convert published'
        )
    return dict(weights)


def explain_mismatch(model: dict[str, Tensor], checkpoint: dict[str, Tensor], new_layers: Iterable[str] = ()) -> str | None:
    """Describe how a checkpoint's weights do not match a model's, or return None if they do.

    Args:
        model, checkpoint: state dicts.
        new_layers: prefixes of parameters that may be missing from the checkpoint.
    """
    new = tuple(f'{layer}.' for layer in new_layers)
    shared = [name for name in model if name in checkpoint and not name.startswith(new)]
    for name, axis, meaning in TELLING_SHAPES:
        if name in shared and checkpoint[name].dim() == model[name].dim():
            theirs, ours = checkpoint[name].shape[axis], model[name].shape[axis]
            if theirs != ours:
                return f'{meaning} is {theirs} in the checkpoint and {ours} in the config'
    for name in shared:
        if checkpoint[name].shape != model[name].shape:
            return (
                f'{name} has shape {tuple(checkpoint[name].shape)} in the checkpoint and '
                f'{tuple(model[name].shape)} in the config'
            )
    missing = [name for name in model if name not in checkpoint and not name.startswith(new)]
    if missing:
        return f"the checkpoint lacks {first_and_rest(missing)} of the config's model"
    foreign = [name for name in checkpoint if name not in model and not name.startswith(new)]
    return f"the checkpoint contains {first_and_rest(foreign)}, which the config's model does not have" if foreign else None
