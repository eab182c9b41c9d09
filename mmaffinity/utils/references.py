"""Resolve references in a config: ``'${data_root}'`` stands for the top-level field ``data_root``."""

import os
import re
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from .nested_datasets import leaf_configs

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_REFERENCE = re.compile(r'\$\{(\w+)\}')


def resolve_references(value: Any, fields: Config | Mapping[str, Any], within: tuple[str, ...] = ()) -> Any:
    """Return a config value with every reference replaced by the field that it names.

    MMEngine replaces ``{{_base_.data_root}}`` when it reads the file that contains it, so an inheriting config can no longer
    change it. A reference is replaced when the data set is built: by the loops of :mod:`mmaffinity.engine.loops`, which
    MMEngine's runner builds, and by :func:`~mmaffinity.utils.config.load_config`.

    Args:
        value: any part of a config; it is not changed.
        fields: the top-level fields, which may refer to others. A list becomes a tuple.
        within: names of the fields that led to this value.

    Raises:
        ValueError: if a reference names an unknown field, or refers to itself.
    """
    if isinstance(value, dict):
        return type(value)({key: resolve_references(item, fields, within) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return type(value)(resolve_references(item, fields, within) for item in value)
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if match[1] not in fields.keys():
        raise ValueError(f'{value} refers to the field {match[1]}, which the config does not have')
    if match[1] in within:
        raise ValueError(f'the field {match[1]} refers to itself: {" -> ".join((*within, match[1]))}')
    found = resolve_references(fields.get(match[1]), fields, (*within, match[1]))
    return tuple(found) if isinstance(found, list) else found


def refuse_references(**arguments: Any) -> None:
    """Check that no argument of a data set is an unresolved reference.

    Raises:
        ValueError: with the first unresolved reference and how to resolve it.
    """
    for name, value in arguments.items():
        if isinstance(value, str) and _REFERENCE.fullmatch(value):
            raise ValueError(
                f'{name} is the unresolved reference {value}: use SliceTrainLoop, SliceValLoop and SliceTestLoop '
                'as train_cfg, val_cfg and test_cfg, call resolve_dataloaders on the config, or write the value '
                'into the data set'
            )


def resolve_dataloaders(config: Config) -> None:
    """Resolve the references of a config's dataloaders in place, and divide their slices into ``folds`` if it is set.

    A leading ``~`` in the data root of a data set becomes the home folder: no shell expands it after ``data_root=``.

    Raises:
        ValueError: if a reference names an unknown field.
    """
    for name in DATALOADERS:
        if config.get(name) is not None:
            config[name] = resolve_references(config[name], config)
            for leaf in leaf_configs(config[name].get('dataset')):
                if isinstance(leaf.get('data_root'), str):
                    leaf['data_root'] = os.path.expanduser(leaf['data_root'])
    if config.get('folds') is not None:
        _apply_folds(config)


def _apply_folds(config: Config) -> None:
    """Divide the patients of all lists jointly, so that none is in both training and test."""
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    leaves = [
        leaf
        for name in ('train_dataloader', 'test_dataloader')
        if config.get(name) is not None
        for leaf in leaf_configs(config[name].get('dataset'))
    ]
    lists = sorted({os.path.join(leaf.get('data_root') or '', leaf['ann_file']) for leaf in leaves if leaf.get('ann_file')})
    for leaf in leaves:
        leaf.setdefault('folds', config.folds)
        leaf.setdefault('fold', config.get('fold', 0))
        if leaf.get('ann_file'):
            leaf.setdefault('fold_lists', lists)
