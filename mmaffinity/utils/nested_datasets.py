"""Find the data sets inside concatenations and wrappers."""

from collections.abc import Iterator
from typing import Any


def leaf_configs(dataset: Any) -> Iterator[Any]:
    """Yield the configs of the innermost data sets in the config of a data set, concatenation or wrapper."""
    if not isinstance(dataset, dict):
        return
    inner = dataset.get('datasets') or ([dataset['dataset']] if dataset.get('dataset') else [])
    for part in inner:
        yield from leaf_configs(part)
    if not inner:
        yield dataset


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the innermost data sets of a data set, concatenation or wrapper."""
    inner = getattr(dataset, 'datasets', None) or ([dataset.dataset] if hasattr(dataset, 'dataset') else None)
    if inner is None:
        yield dataset
    else:
        for part in inner:
            yield from leaf_datasets(part)
