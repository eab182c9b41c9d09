"""Convert the author's published checkpoints to checkpoints of this package and back, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from mmaffinity.utils.files import sha256_of, whole_file
from mmaffinity.utils.wording import first_and_rest

from .foreign_pickler import save_with_foreign_objects
from .loading import load_checkpoint
from .published_layout import published_layout
from .published_reading import ANCHOR_RATIOS, ANCHOR_SIZES, EXTRA, SHOWN, read_anchors, read_parts, split_content
from .safe_pickle import ForeignGlobal, ForeignObject, describe
from .untrusted import load_untrusted_checkpoint

PathLike = str | Path
FIELDS = ('epoch', 'lrate', 'affinity', 'model_name')


def convert_published(content: Any) -> dict:
    """Convert the content of a published checkpoint.

    Args:
        content: result of :func:`load_untrusted_checkpoint`. Of a predecessor's file (Mask R-CNN, Single-Shot Model), only the
            parts that match the affinity model are converted.

    Returns:
        A checkpoint: 'meta' names the required config, the source and the parts that were not read; 'state_dict' contains the
        weights; 'published_extra' contains tensors that this package's model lacks and :func:`convert_back` needs.

    Raises:
        ValueError: if the file is not a published checkpoint, its keys, shapes, anchors or number of classes differ from those
            of the published models, or duplicate tensors differ; the message names them.
    """
    weights, fields = split_content(content)
    generator = fields.pop('anchor_generator', None)
    anchors = read_anchors(generator)
    entries, meta = read_parts(weights, fields)
    known = {key: value for key, value in fields.items() if key in FIELDS and isinstance(value, (str, int, float))}
    ignored = [f'{key} ({describe(value)})' for key, value in fields.items() if key not in known]
    dropped = {entry.key: _own(entry.change.dropped(weights[entry.key])) for entry in entries if entry.change.dropped}
    extra = dict(dropped=dropped, order=list(weights), fields=known)
    if anchors is None and generator is not None:
        ignored.append(f'anchor_generator ({describe(generator)})')
    elif anchors is not None and _is_plain(generator.state):
        extra['anchor_generator'] = dict(module=generator.cls.module, name=generator.cls.name, state=generator.state)
    meta.update(anchors=anchors, published=known, ignored=ignored)
    state_dict = {entry.ours: _own(entry.change.forward(weights[entry.key])) for entry in entries if entry.ours}
    return {'meta': meta, 'state_dict': state_dict, EXTRA: extra}


def convert_back(checkpoint: dict) -> dict:
    """Convert a checkpoint of a ``configs/published`` model to the published layout.

    The box regression and mask of the background class, which this package's model lacks and nothing reads, come from
    'published_extra' if the checkpoint was converted, and are zero if it was trained with this package.

    Args:
        checkpoint: content of the file.

    Returns:
        Content of a published checkpoint; the anchor generator is a :class:`ForeignObject`.

    Raises:
        ValueError: if it is not a checkpoint of a model in the published layout; the message names the keys.
    """
    state = checkpoint.get('state_dict')
    if not isinstance(state, dict):
        raise ValueError('it is not a checkpoint of this package: it has no state_dict')
    matrix, last = state.get('roi_head.cls_head.affinity.matrix'), state.get('roi_head.cls_head.classifier.4.weight')
    if not isinstance(matrix, Tensor) or matrix.dim() != 2 or not isinstance(last, Tensor) or last.dim() != 2:
        raise ValueError('it is not a checkpoint of an affinity model: it has no affinity matrix, or no classifier')
    entries = published_layout(matrix.shape[1], last.shape[0], matrix.shape[0])
    known = {entry.ours for entry in entries}
    problems = [f'missing {name}' for name in sorted(name for name in known if name is not None and name not in state)]
    problems += [f'unknown {name}' for name in state if name not in known]
    if problems:
        raise ValueError(f'only models of configs/published can be converted back; {first_and_rest(problems, SHOWN)}')
    extra = checkpoint.get(EXTRA) or {}
    dropped = extra.get('dropped', {})
    weights: dict[str, Any] = {}
    for entry in entries:
        if entry.copy_of:
            weights[entry.key] = weights[entry.copy_of]
            continue
        ours, rest = state[entry.ours], None
        if entry.change.dropped:
            rest = dropped.get(entry.key)
            rest = entry.change.dropped(ours.new_zeros(entry.shape)) if rest is None else rest
        weights[entry.key] = _own(entry.change.backward(ours, rest))
        if tuple(weights[entry.key].shape) != entry.shape:
            raise ValueError(f'{entry.ours} has shape {tuple(ours.shape)}, which does not match the published layout')
    fields = dict(extra.get('fields') or {})
    fields.setdefault('affinity', matrix.shape[1])
    generator = extra.get('anchor_generator') or dict(
        module='models.affinity.rpn',
        name='AnchorGenerator',
        state=dict(sizes=ANCHOR_SIZES, aspect_ratios=ANCHOR_RATIOS, cell_anchors=None, _cache={}),
    )
    foreign = ForeignObject(ForeignGlobal(generator['module'], generator['name']), generator['state'])
    order = extra.get('order') or list(weights)
    return dict(model_weights={key: weights[key] for key in order}, anchor_generator=foreign, **fields)


def convert_published_file(source: PathLike, target: PathLike) -> dict:
    """Convert a published file (see :func:`convert_published`) and write the result atomically.

    Returns:
        The 'meta' of the new checkpoint, whose 'source' contains the file's name and SHA-256.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: as for :func:`load_untrusted_checkpoint` and :func:`convert_published`, naming the file.
    """
    content = load_untrusted_checkpoint(source)
    try:
        checkpoint = convert_published(content)
    except ValueError as error:
        raise ValueError(f'{source} was not converted: {error}') from error
    checkpoint['meta']['source'] = dict(file=Path(source).name, sha256=sha256_of(source))
    _write(target, source, lambda file: torch.save(checkpoint, file))
    return checkpoint['meta']


def convert_back_file(source: PathLike, target: PathLike) -> None:
    """Convert a checkpoint of this package to the published layout (see :func:`convert_back`), written atomically.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: as for :func:`load_checkpoint` and :func:`convert_back`, naming the file.
    """
    checkpoint = load_checkpoint(source)
    try:
        content = convert_back(checkpoint)
    except ValueError as error:
        raise ValueError(f'{source} was not converted back: {error}') from error
    _write(target, source, lambda file: save_with_foreign_objects(content, file))


def _is_plain(value: Any) -> bool:
    """Return whether a value can be stored without naming a class and is not nested too deeply."""
    seen, layer = set(), [value]  # breadth first: an untrusted value may contain itself, or one part a million times
    for _ in range(20):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, (dict, list, tuple, set, frozenset)):
                if id(item) not in seen:
                    seen.add(id(item))
                    inner += [*item.keys(), *item.values()] if isinstance(item, dict) else item
            elif item is not None and not isinstance(item, (str, bytes, int, float, Tensor)):
                return False
        if not inner:
            return True
        layer = inner
    return False


def _own(tensor: Tensor) -> Tensor:
    """Return a contiguous copy that shares no memory, so that only its own data is written."""
    return tensor.clone(memory_format=torch.contiguous_format)


def _write(target: PathLike, source: PathLike, write: Callable[[IO[bytes]], None]) -> None:
    target = Path(target)
    if target.exists() and target.samefile(source):
        raise ValueError(f'{target} is the input file; choose another output file')
    with whole_file(target) as file:
        write(file)
