"""The author's published checkpoints as checkpoints of this package, and back, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from mmaffinity.utils.files import sha256_of, whole_file
from mmaffinity.utils.wording import plural

from .foreign_pickler import save_with_foreign_objects
from .loading import load_checkpoint
from .published_layout import Entry, detector_layout, part_prefixes, parts, published_layout
from .safe_pickle import ForeignGlobal, ForeignObject, describe
from .untrusted import load_untrusted_checkpoint

PathLike = str | Path
SLICE_CLASSES = {3: ('Normal', 'CP', 'COVID-19'), 2: ('Negative', 'COVID-19')}
CONFIGURED_AFFINITIES = (8, 16, 32, 64, 128, 256, 512)
ANCHOR_SIZES = ((2.0, 4.0, 8.0, 16.0, 32.0),)
ANCHOR_RATIOS = ((0.1, 0.25, 0.5, 1.0, 1.5, 2.0),)
MATRIX, LAST_LAYER = 'affinity_layer.batch_to_feat_mat', 's2new.class_predict_logits.weight'
MASK_RCNN_PARTS = [part for part in parts(detector_layout()) if 'classification' not in part]
FIELDS = ('epoch', 'lrate', 'affinity', 'model_name')
EXTRA = 'published_extra'


def convert_published(content: Any) -> dict:
    """Convert the content of a published checkpoint.

    Args:
        content: result of :func:`load_untrusted_checkpoint`. A file of the predecessors (Mask R-CNN, Single-Shot Model) is
            converted part by part, as far as its parts match those of the affinity model.

    Returns:
        A checkpoint: 'meta' names the required config, the source and the parts that were not read; 'state_dict' contains the
        weights; 'published_extra' contains tensors that our model does not have and :func:`convert_back` needs.

    Raises:
        ValueError: if the file is not a published checkpoint, its keys, shapes, anchors or numbers of classes differ from those
            of the published models, or duplicate tensors differ; the message names them.
    """
    weights, fields = _split(content)
    generator = fields.pop('anchor_generator', None)
    anchors = _anchors(generator)
    if any(key.startswith('affinity_layer.') for key in weights):
        entries, meta = _read_affinity_model(weights, fields)
    else:
        entries, meta = _read_predecessor(weights)
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

    The regression and mask of the background class, which our model does not have and nothing reads, come from
    'published_extra' if the checkpoint was converted, and are zero if it was trained here.

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
        raise ValueError(f'only models of configs/published have the published layout; {_listed(problems)}')
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
            raise ValueError(f'{entry.ours} has shape {tuple(ours.shape)}, which does not fit the published layout')
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
    """Convert a published file, see :func:`convert_published`; the result is written atomically.

    Returns:
        The 'meta' of the new checkpoint, whose 'source' names the file and its SHA-256.

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
    """Convert one of our files to the published layout, see :func:`convert_back`; the result is written atomically.

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


def _split(content: Any) -> tuple[dict[str, Tensor], dict]:
    """Return the weights and the other fields of a file."""
    if isinstance(content, dict) and EXTRA in content:
        raise ValueError('it was converted already')
    if isinstance(content, dict) and isinstance(content.get('model_weights'), dict):
        weights = content['model_weights']
        fields = {str(key): value for key, value in content.items() if key != 'model_weights'}
    elif isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values()):
        weights, fields = content, {}
    else:
        keys = ', '.join(ascii(key)[:40] for key in list(content)[:8]) if isinstance(content, dict) else ''
        raise ValueError(f'it is not a published checkpoint: it has no model_weights, but {keys or describe(content)}')
    odd = [key for key in weights if type(key) is not str]
    if odd:
        raise ValueError(f'its model_weights have a key that is not text: {ascii(odd[0])[:40]}')
    return weights, fields


def _read_affinity_model(weights: dict[str, Tensor], fields: dict) -> tuple[list[Entry], dict]:
    matrix, last = weights.get(MATRIX), weights.get(LAST_LAYER)
    num_rois, num_affinities = matrix.shape if isinstance(matrix, Tensor) and matrix.dim() == 2 else (8, 8)
    num_classes = last.shape[0] if isinstance(last, Tensor) and last.dim() == 2 else 3
    entries = published_layout(num_affinities, num_classes, num_rois)
    problems = _misfits(entries, weights)
    known = {entry.key for entry in entries}
    problems += [f'unknown {key}' for key in weights if key not in known]
    if problems:
        raise ValueError(f'its keys are not those of a published affinity model; {_listed(problems)}')
    for entry in entries:
        if entry.copy_of and not _same_bits(weights[entry.key], weights[entry.copy_of]):
            raise ValueError(
                f'{entry.key} and {entry.copy_of} should be the same tensor, but differ; dropping one would change the model'
            )
    if num_classes not in SLICE_CLASSES:
        raise ValueError(f'it tells {num_classes} classes apart; published models have 3 (CNCB-NCOV) or 2 (iCTCF)')
    stated = fields.get('affinity', num_affinities)
    if type(stated) is not int or stated != num_affinities:
        stated = stated if type(stated) is int else f'a {describe(stated)}'
        raise ValueError(f'its field affinity is {stated}, but its matrix has {plural(num_affinities, "column")}')
    stem, options = num_affinities, {}
    if num_affinities not in CONFIGURED_AFFINITIES:
        stem, options = 8, {'model.roi_head.cls_head.num_affinities': num_affinities}
    if num_rois != 8:
        options['model.roi_head.cls_head.num_rois'] = num_rois
    config = f'configs/published/affinity_c{stem}{"_ictcf" if num_classes == 2 else ""}.py'
    return entries, dict(
        kind='affinity model',
        config=config,
        cfg_options=options,
        num_affinities=num_affinities,
        num_rois=num_rois,
        num_classes=num_classes,
        dataset_meta=dict(classes=('lesion',), slice_classes=SLICE_CLASSES[num_classes]),
        parts=list(parts(entries)),
        not_read=[],
    )


def _read_predecessor(weights: dict[str, Tensor]) -> tuple[list[Entry], dict]:
    """Read the parts that match the affinity model completely; a part with any difference is not read."""
    read: list[Entry] = []
    for entries in parts(detector_layout()).values():
        keys = {entry.key for entry in entries}
        foreign = [key for key in weights if key.startswith(part_prefixes(entries)) and key not in keys]
        if not foreign and not _misfits(entries, weights):
            read += entries
    if not any(entry.part == 'backbone' for entry in read):
        problems = _misfits(parts(detector_layout())['backbone'], weights)
        problems += [f'unknown {key}' for key in weights if key.startswith('backbone.body.layer4.')]
        raise ValueError(
            'it has neither an affinity layer nor the backbone of the published models, ResNet-18 up to '
            f'layer3; {_listed(problems or ["other keys under backbone.body"])}'
        )
    keys, read_parts = {entry.key for entry in read}, list(parts(read))
    two_branches = any(key.split('.')[1:2] and key.split('.')[1].endswith('_s2') for key in weights)
    config, options = None, {}
    if read_parts == MASK_RCNN_PARTS:
        config, options = 'configs/baselines/mask_rcnn_full.py', {'model.data_preprocessor.normalization': 'slice'}
    return read, dict(
        kind='predecessor with two branches' if two_branches else 'Mask R-CNN',
        config=config,
        cfg_options=options,
        parts=read_parts,
        not_read=[key for key in weights if key not in keys],
        dataset_meta=dict(classes=('lesion',)),
    )


def _misfits(entries: list[Entry], weights: dict[str, Any]) -> list[str]:
    problems = []
    for entry in entries:
        value = weights.get(entry.key)
        if value is None:
            problems.append(f'missing {entry.key}')
        elif not isinstance(value, Tensor):
            problems.append(f'{entry.key} is not a tensor but {describe(value)}')
        elif tuple(value.shape) != entry.shape:
            problems.append(f'{entry.key} has shape {tuple(value.shape)} instead of {entry.shape}')
        elif value.is_floating_point() == entry.key.endswith('num_batches_tracked'):
            problems.append(f'{entry.key} holds {value.dtype}')
    return problems


def _anchors(generator: Any) -> dict | None:
    """Return sizes and ratios from the state of the author's anchor generator, whose class is not available."""
    state = generator.state if isinstance(generator, ForeignObject) else None
    if not isinstance(state, dict) or not {'sizes', 'aspect_ratios'} <= set(state):
        return None
    try:
        sizes, ratios = (
            tuple(tuple(map(float, level[:64])) for level in state[name][:64]) for name in ('sizes', 'aspect_ratios')
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f'its anchor generator has no lists of sizes and ratios: {error}') from error
    if sizes != ANCHOR_SIZES or ratios != ANCHOR_RATIOS:
        raise ValueError(
            f'its anchors have sizes {sizes} and ratios {ratios} instead of {ANCHOR_SIZES} and '
            f'{ANCHOR_RATIOS}, for which configs/published are made'
        )
    return dict(sizes=sizes, aspect_ratios=ratios)


def _is_plain(value: Any) -> bool:
    """Return whether a value can be stored without naming a class and is not nested too deeply."""
    seen, layer = set(), [value]  # layer by layer: an untrusted value may contain itself, or one part a million times
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


def _same_bits(a: Tensor, b: Tensor) -> bool:
    # Not torch.equal, for which NaN differs from itself and 0 equals -0.
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and torch.equal(_own(a).reshape(-1).view(torch.uint8), _own(b).reshape(-1).view(torch.uint8))
    )


def _own(tensor: Tensor) -> Tensor:
    """Return a contiguous copy that shares no memory, so that only its own data are written."""
    return tensor.clone(memory_format=torch.contiguous_format)


def _listed(problems: list[str], most: int = 60) -> str:
    rest = f' and {len(problems) - most} more' if len(problems) > most else ''
    return ', '.join(problems[:most]) + rest


def _write(target: PathLike, source: PathLike, write: Callable[[IO[bytes]], None]) -> None:
    target = Path(target)
    if target.exists() and target.samefile(source):
        raise ValueError(f'{target} is the file to read; name another one to write')
    with whole_file(target) as file:
        write(file)
