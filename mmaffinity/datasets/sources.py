"""Whether the lists and folders that a run reads are there, before anything long is begun."""
from collections.abc import Iterator
from typing import Any

from mmdet.registry import DATASETS
from mmengine.registry import DefaultScope


def leaf_configs(dataset: Any) -> Iterator[dict[str, Any]]:
    """Take the configs of concatenations and wrappers apart, down to the data sets that list slices."""
    if not isinstance(dataset, dict):
        return
    inner = dataset.get('datasets') or ([dataset['dataset']] if dataset.get('dataset') else [])
    for part in inner:
        yield from leaf_configs(part)
    if not inner:
        yield dict(dataset)


def check_sources(dataset: Any) -> None:
    """Check that the lists or folders of a config's data sets are there; those of other packages say so when they load.

    Args:
        dataset: config of a data set, of a concatenation or a wrapper.

    Raises:
        FileNotFoundError: if one is not there.
        ValueError: if a folder of a class holds no image, or an argument of a data set cannot be.
    """
    with DefaultScope.overwrite_default_scope('mmdet'):
        for leaf in leaf_configs(dataset):
            if hasattr(DATASETS.get(leaf.get('type')), 'check_source'):
                DATASETS.build({**leaf, 'pipeline': [], 'lazy_init': True}).check_source()
