"""Early checks that a run's lists and folders exist and that its classes match the model."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mmdet.registry import DATASETS
from mmengine.registry import DefaultScope

from mmaffinity.utils.nested_datasets import leaf_configs
from mmaffinity.utils.wording import plural

# For each model head with a number of classes: the classes' key in the data set, and their noun.
_HEADS = {
    'bbox_head': ('classes', 'lesion class'),
    'mask_head': ('classes', 'lesion class'),
    'cls_head': ('slice_classes', 'slice class'),
}


def check_sources(dataset: Any, model: Any = None) -> None:
    """Check the lists or folders of a config's data sets; data sets of other packages report problems when they load.

    Args:
        dataset: config of a data set, a concatenation or a wrapper.
        model: config of the model. If given, the lists are read and the data sets must have as many classes as its heads;
            otherwise no list is opened.

    Raises:
        FileNotFoundError: if a list or folder does not exist.
        ValueError: if a class folder contains no image, a data set has an invalid argument, or the classes of lists, config and
            model differ.
    """
    heads = list(_heads(model, 'model'))
    with DefaultScope.overwrite_default_scope('mmdet'):
        for leaf in leaf_configs(dataset):
            kind = DATASETS.get(leaf.get('type'))
            metainfo = {**(getattr(kind, 'METAINFO', None) or {}), **(leaf.get('metainfo') or {})}
            name = leaf.get('ann_file') or leaf.get('type')
            if hasattr(kind, 'check_source'):
                built = DATASETS.build({**leaf, 'pipeline': [], 'lazy_init': True})
                built.check_source()
                if heads:
                    built.check_classes()
                metainfo, name = built.metainfo, built.source
            _check_classes(metainfo, str(name), heads)


def _check_classes(metainfo: dict[str, Any], name: str, heads: list[tuple[str, str, str, int]]) -> None:
    """Compare the number of a data set's classes with that of the heads that predict them."""
    wrong: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for place, key, noun, number in heads:
        classes = metainfo.get(key)
        if isinstance(classes, (list, tuple)) and len(classes) != number:
            wrong[key, noun].append((place, number))
    for (key, noun), places in wrong.items():
        classes = metainfo[key]
        have = ', '.join(f'{place}={number}' for place, number in places)
        remedy = ' '.join(f'{place}={len(classes)}' for place, _ in places)
        raise ValueError(
            f'{name} has {plural(len(classes), noun)} ({", ".join(map(str, classes))}), but the model is '
            f'configured with {have}: set --cfg-options {remedy}, or use data with the classes of the model'
        )


def _heads(config: Any, place: str) -> Iterator[tuple[str, str, str, int]]:
    """Yield the location, the key and noun of the classes, and their number, for every head that has ``num_classes``."""
    items = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, (list, tuple)) else ()
    for name, part in items:
        heads = part if isinstance(part, (list, tuple)) else [part]
        if name in _HEADS and not isinstance(name, int):
            for index, head in enumerate(heads):
                if isinstance(head, dict) and isinstance(head.get('num_classes'), int) and not head.get('class_agnostic'):
                    at = f'{place}.{name}' + (f'.{index}' if isinstance(part, (list, tuple)) else '')
                    yield f'{at}.num_classes', *_HEADS[name], head['num_classes']
        yield from _heads(part, f'{place}.{name}')
