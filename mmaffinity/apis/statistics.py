"""Compute the grey-level statistics of a config's training slices, and write them where the config expects them."""

from pathlib import Path
from typing import Any, NamedTuple

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmaffinity.datasets.parallel import Progress
from mmaffinity.datasets.sources import check_sources
from mmaffinity.datasets.training_statistics import read_statistics, statistics_file, training_statistics
from mmaffinity.utils.config import check_data, own_config
from mmaffinity.utils.files import write_json_atomic


class WrittenStatistics(NamedTuple):
    """Grey-level statistics of training slices.

    Attributes:
        file: the file.
        content: its content; see :func:`~mmaffinity.datasets.training_statistics.training_statistics`.
        was_there: whether the file already had these values and was left unchanged.
    """

    file: Path
    content: dict[str, Any]
    was_there: bool


def write_statistics(
    config: str | Path | Config,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> WrittenStatistics:
    """Compute the mean and std of the grey levels of a config's training slices, and write them atomically as JSON.

    Args:
        config: a config or its path.
        out: file to write; by default that of ``model.data_preprocessor.statistics``.
        overwrite: replace a file with other values.
        workers: reader threads; by default one per core, at most eight.
        progress: called as ``progress('slices', done, total)``.

    Returns:
        The file and its content.

    Raises:
        FileNotFoundError: if the config or its data do not exist.
        ValueError: if the model uses no statistics and ``out`` is not given, the file exists with other values or cannot be
            written, or a slice cannot be read.
    """
    cfg = own_config(config)
    check_data(cfg, 'train_dataloader')
    name = out or _configured_file(cfg)
    check_sources(cfg.train_dataloader.dataset)
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    file = Path(out) if out else statistics_file(dataset, str(name))
    content = training_statistics(dataset, workers, progress)
    before, new = ([values.get(key) for key in ('mean', 'std', 'num_slices')] for values in (read_statistics(file), content))
    was_there = before == new and not overwrite
    if file.exists() and not was_there and not overwrite:
        raise ValueError(
            f'{file} exists with mean {before[0]} and std {before[1]}; the new values are {new[0]} and {new[1]}. '
            '--overwrite replaces it, --out FILE keeps both'
        )
    if not was_there:
        try:
            write_json_atomic(file, content)
        except OSError as error:
            raise ValueError(
                f'{file} cannot be written ({error.strerror}): write it elsewhere with --out FILE, and set '
                'model.data_preprocessor.statistics to the absolute path of that file'
            ) from error
    return WrittenStatistics(file, content, was_there)


def _configured_file(cfg: Config) -> str:
    preprocessor: Any = cfg.model.get('data_preprocessor') or {}
    name = cfg.filename or 'the config'
    normalization = preprocessor.get('normalization', 'global')
    if preprocessor.get('type') != 'SliceDataPreprocessor' or normalization != 'global':
        raise ValueError(
            f'the model of {name} does not use the mean and std of the training slices (normalization={normalization!r}); '
            '--out FILE writes them anyway'
        )
    if preprocessor.get('mean') is not None:
        raise ValueError(
            f'{name} sets mean={preprocessor.mean} and std={preprocessor.get("std")} itself; remove both, or write the '
            'statistics to another file with --out FILE'
        )
    if not preprocessor.get('statistics'):
        raise ValueError(f'{name} names no file in model.data_preprocessor.statistics; give --out FILE')
    return str(preprocessor.statistics)
