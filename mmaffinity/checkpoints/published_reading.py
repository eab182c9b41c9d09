"""Read a published file: its weights, the parts that match the affinity model, and its anchors."""

from typing import Any

import torch
from torch import Tensor

from mmaffinity.utils.wording import first_and_rest, plural

from .published_layout import Entry, detector_layout, part_prefixes, parts, published_layout
from .safe_pickle import ForeignObject, describe

SLICE_CLASSES = {3: ('Normal', 'CP', 'COVID-19'), 2: ('Negative', 'COVID-19')}
CONFIGURED_AFFINITIES = (8, 16, 32, 64, 128, 256, 512)
ANCHOR_SIZES = ((2.0, 4.0, 8.0, 16.0, 32.0),)
ANCHOR_RATIOS = ((0.1, 0.25, 0.5, 1.0, 1.5, 2.0),)
MATRIX, LAST_LAYER = 'affinity_layer.batch_to_feat_mat', 's2new.class_predict_logits.weight'
MASK_RCNN_PARTS = [part for part in parts(detector_layout()) if 'classification' not in part]
EXTRA = 'published_extra'  # key in a converted checkpoint
SHOWN = 60  # problems listed in a message


def split_content(content: Any) -> tuple[dict[str, Tensor], dict]:
    """Return the weights and the other fields of a file.

    Raises:
        ValueError: if it is not a published checkpoint, or is already converted.
    """
    if isinstance(content, dict) and EXTRA in content:
        raise ValueError('it is already converted')
    if isinstance(content, dict) and isinstance(content.get('model_weights'), dict):
        weights = content['model_weights']
        fields = {str(key): value for key, value in content.items() if key != 'model_weights'}
    elif isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values()):
        weights, fields = content, {}
    else:
        keys = ', '.join(ascii(key)[:40] for key in list(content)[:8]) if isinstance(content, dict) else ''
        raise ValueError(f'it is not a published checkpoint: it has {keys or describe(content)} instead of model_weights')
    odd = [key for key in weights if type(key) is not str]
    if odd:
        raise ValueError(f'its model_weights contain a key that is not a string: {ascii(odd[0])[:40]}')
    return weights, fields


def read_parts(weights: dict[str, Tensor], fields: dict) -> tuple[list[Entry], dict]:
    """Select the tensors of a file that the affinity model has.

    Args:
        weights, fields: from :func:`split_content`.

    Returns:
        Their entries, and the part of the converted checkpoint's 'meta' that follows from the weights.

    Raises:
        ValueError: if an affinity model differs in any way from the published ones, or a predecessor has another backbone.
    """
    if any(key.startswith('affinity_layer.') for key in weights):
        return _read_affinity_model(weights, fields)
    return _read_predecessor(weights)


def _read_affinity_model(weights: dict[str, Tensor], fields: dict) -> tuple[list[Entry], dict]:
    matrix, last = weights.get(MATRIX), weights.get(LAST_LAYER)
    num_rois, num_affinities = matrix.shape if isinstance(matrix, Tensor) and matrix.dim() == 2 else (8, 8)
    num_classes = last.shape[0] if isinstance(last, Tensor) and last.dim() == 2 else 3
    entries = published_layout(num_affinities, num_classes, num_rois)
    problems = _misfits(entries, weights)
    known = {entry.key for entry in entries}
    problems += [f'unknown {key}' for key in weights if key not in known]
    if problems:
        raise ValueError(f'its keys are not those of a published affinity model; {first_and_rest(problems, SHOWN)}')
    for entry in entries:
        if entry.copy_of and not _same_bits(weights[entry.key], weights[entry.copy_of]):
            raise ValueError(f'{entry.key} and {entry.copy_of} should be equal but differ; dropping one would change the model')
    if num_classes not in SLICE_CLASSES:
        raise ValueError(f'it has {num_classes} classes; published models have 3 (CNCB-NCOV) or 2 (iCTCF)')
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
    """Read the parts that match the affinity model exactly; a part with any difference is not read."""
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
            f'layer3; {first_and_rest(problems or ["other keys under backbone.body"], SHOWN)}'
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
            problems.append(f'{entry.key} has dtype {value.dtype}')
    return problems


def read_anchors(generator: Any) -> dict | None:
    """Return the sizes and ratios of the author's anchor generator, whose class is not available; None if there is none.

    Raises:
        ValueError: if they are not those of the published models.
    """
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
            f'{ANCHOR_RATIOS}, which configs/published require'
        )
    return dict(sizes=sizes, aspect_ratios=ratios)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    # Compare bytes: for torch.equal, NaN differs from itself and 0 equals -0.
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and torch.equal(a.contiguous().reshape(-1).view(torch.uint8), b.contiguous().reshape(-1).view(torch.uint8))
    )
