"""Grey-level statistics of training slices, loaded as in training."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.structures import CLASSIFICATION
from mmaffinity.utils.files import num_bytes
from mmaffinity.utils.nested_datasets import leaf_datasets
from mmaffinity.utils.provenance import fingerprint

from .grey_levels import grey_level_statistics
from .parallel import Progress

SLICES_KEY = 'slices_sha256'


def training_statistics(dataset: Any, workers: int | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Compute mean and standard deviation of the grey levels of a training set.

    It uses the labelled slices, as in the converters' ``statistics.json``, or the lesion slices if there are none. Each is
    loaded at its original size by the first transforms of its data set's pipeline, up to the one that loads the image.

    Args:
        dataset: a data loader's data set; concatenations and wrappers are unwrapped.
        workers: number of threads, by default one per core and at most eight.
        progress: called as ``progress('slices', done, total)``.

    Returns:
        The content of a ``statistics.json``: ``mean`` and ``std`` of grey levels in [0, 1], ``num_slices``, ``source`` (the
        lists), and ``slices_sha256``, see :func:`slices_fingerprint`. Unreadable slices are left out if the data set has
        ``on_unreadable='skip'``.

    Raises:
        FileNotFoundError: if a slice does not exist.
        ValueError: if a slice cannot be read, the data set loads no images, or all pixels have the same grey level.
    """
    leaves = _leaves(dataset)
    slices = [(leaf, index) for leaf in leaves for index in range(len(leaf))]
    statistics = grey_level_statistics(slices, workers, progress, _read)
    source = ', '.join(map(_source_of, leaves))
    if not statistics['std'] > 0:
        raise ValueError(
            f'all training slices of {source} have the same grey level, {statistics["mean"] * 255:g} of 255, and cannot '
            'be normalised: check the images'
        )
    return dict(statistics, source=source, **{SLICES_KEY: slices_fingerprint(dataset)})


def slices_fingerprint(dataset: Any) -> str:
    """Return a SHA-256 over everything that the statistics of a training set depend on, without reading slices.

    It changes with the name or size in bytes of any slice and with the arguments of the loading transform. A copy of the data
    elsewhere has the same fingerprint.

    Raises:
        ValueError: if the data set loads no images.
    """
    rows = []
    for leaf in _leaves(dataset):
        loader = repr(leaf.pipeline.transforms[0])
        root = str(getattr(leaf, 'data_root', '') or '')
        for index in range(len(leaf)):
            path = str(leaf.get_data_info(index).get('img_path'))
            rows.append(f'{os.path.relpath(path, root) if root else path}\0{num_bytes(path)}\0{loader}')
    return fingerprint(rows)


def statistics_file(dataset: Any, name: str) -> Path:
    """Return the path of a training set's statistics file.

    Args:
        dataset: a data loader's data set.
        name: ``statistics`` of :class:`~mmaffinity.models.SliceDataPreprocessor`; a relative path is below the data root of the
            slices from which the statistics are computed.
    """
    return Path(str(getattr(_labelled(dataset)[0], 'data_root', '') or ''), name)


def read_statistics(file: Path) -> dict[str, Any]:
    """Return the content of a statistics file; empty if it does not exist or is invalid."""
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        return dict(content, mean=float(content['mean']), std=float(content['std']))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _labelled(dataset: Any) -> Sequence[Any]:
    leaves = list(leaf_datasets(dataset))
    return [leaf for leaf in leaves if getattr(leaf, 'task', None) == CLASSIFICATION] or leaves


def _leaves(dataset: Any) -> Sequence[Any]:
    leaves = _labelled(dataset)
    for leaf in leaves:
        if not hasattr(leaf, 'get_data_info') or not getattr(getattr(leaf, 'pipeline', None), 'transforms', None):
            raise ValueError(
                f'the grey levels of {type(leaf).__name__} cannot be read, because it has no pipeline that loads '
                "slices: set mean and std, or normalization='slice', in the config's data_preprocessor"
            )
    return leaves


def _source_of(leaf: Any) -> str:
    root, ann_file = str(getattr(leaf, 'data_root', '') or ''), str(getattr(leaf, 'ann_file', '') or '')
    if ann_file:
        return os.path.relpath(ann_file, root) if root else ann_file
    return str(getattr(leaf, 'source', type(leaf).__name__))


def _read(slice_: tuple[Any, int]) -> np.ndarray | None:
    dataset, number = slice_
    results = dataset.get_data_info(number)
    try:
        for transform in dataset.pipeline.transforms:
            results = transform(results)
            if results is None or 'img' in results:
                break
    except (OSError, ValueError):
        if getattr(dataset, 'on_unreadable', 'stop') == 'skip':
            return None
        raise
    if results is None or 'img' not in results:
        raise ValueError(f'the pipeline of {type(dataset).__name__} loads no image: start it with LoadCTSlice')
    return np.asarray(results['img'])
