"""Opening checkpoints without running what is in them, and saying how one does not fit a model."""
import logging
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import Tensor

# What the shape of a parameter says about the model, for messages that name the cause instead of the symptom.
TELLING_SHAPES = (
    ('roi_head.cls_head.affinity.matrix', 1, 'C* (num_affinities)'),
    ('roi_head.cls_head.affinity.matrix', 0, 'beta (num_rois)'),
    ('roi_head.cls_head.classifier.4.weight', 0, 'number of slice classes (num_classes)'),
    ('roi_head.bbox_head.fc_cls.weight', 0, 'number of lesion classes plus background'),
)


def _history_method(owner: Any, name: str) -> Any:
    """Stand in for getattr in MMEngine's checkpoints, whose log buffers store their own methods by name."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'mean', 'current'):
        raise pickle.UnpicklingError(f'refused: getattr({owner!r}, {name!r})')
    return getattr(owner, name)


def _allowed_globals() -> list:
    core = getattr(np, '_core', None) or np.core
    scalars = {type(np.dtype(name)) for name in ('bool', 'uint8', 'int32', 'int64', 'uint32', 'uint64', 'float32',
                                                 'float64')}
    return [HistoryBuffer, (_history_method, 'builtins.getattr'), np.ndarray, np.dtype, *scalars,
            core.multiarray._reconstruct, core.multiarray.scalar]


def load_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint: tensors, plain data and MMEngine's log history, nothing that can run code.

    Args:
        path: a ``.pth`` file.
        map_location: device of the tensors, as in ``torch.load``.

    Returns:
        The content of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, is damaged, or holds an object that would have to run code to come to life;
            the message names that object. There is no unsafe fallback.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint {path}')
    try:
        with torch.serialization.safe_globals(_allowed_globals()):
            content = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split('\n')[-1].strip() if 'Unsupported' in str(error) else str(error)
        raise ValueError(f'{path} was not opened, as it holds more than weights and plain data: {reason}') from error
    except (RuntimeError, EOFError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f'{path} is no checkpoint or is damaged ({error}); copy or download it again') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} is no checkpoint: it holds a {type(content).__name__} instead of a dict')
    return content


def register_safe_loader() -> None:
    """Let MMEngine open local checkpoints (load_from, resume, pretrained weights) by :func:`load_checkpoint`."""

    def load_local(filename: str, map_location: Any = None, logger: logging.Logger | None = None) -> dict:
        return load_checkpoint(filename, map_location)

    CheckpointLoader.register_scheme(prefixes='', loader=load_local, force=True)


def explain_mismatch(model: dict[str, Tensor], checkpoint: dict[str, Tensor],
                     new_layers: Iterable[str] = ()) -> str | None:
    """Return in one sentence how a checkpoint's weights do not fit a model's, or None if they do.

    Args:
        model, checkpoint: state dicts.
        new_layers: prefixes of parameters that the checkpoint need not have.
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
            return f'{name} has shape {tuple(checkpoint[name].shape)} in the checkpoint and ' \
                   f'{tuple(model[name].shape)} in the config'
    missing = [name for name in model if name not in checkpoint and not name.startswith(new)]
    if missing:
        return f'it lacks {_some(missing)}, which the config\'s model has'
    foreign = [name for name in checkpoint if name not in model and not name.startswith(new)]
    return f'it holds {_some(foreign)}, which the config\'s model does not have' if foreign else None


def _some(names: list[str]) -> str:
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')
