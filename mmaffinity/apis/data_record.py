"""A run's config and fingerprints of its training data, stored in its work directory and its checkpoints."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmaffinity.datasets.phantom.writer import is_phantom
from mmaffinity.datasets.verification.fingerprints import record_of
from mmaffinity.utils.config import config_name
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.nested_datasets import leaf_datasets
from mmaffinity.utils.provenance import SYNTHETIC

FILE = 'data_fingerprint.json'
META_KEY = 'data_fingerprint'
_KEYS = ('content_sha256', 'listing_sha256')


class DataRecordHook(Hook):
    """Write ``data_fingerprint.json`` to the work directory when training starts, and store the fingerprints in checkpoints.

    The file contains ``config``, the name of the config; ``train`` and ``val`` (null without validation), each from
    :func:`~mmaffinity.datasets.verification.record_of`; and ``earlier``, the fingerprints of any other training data that the
    run used before it was resumed. A checkpoint's ``meta`` contains only the fingerprints and, if all training data belong to a
    phantom, ``synthetic_data=True``, so that predictions on real CT carry a warning.

    Args:
        read_files: whether to read every slice for the SHA-256 of its content; see :func:`reads_files`.
        config: name of the config.
    """

    def __init__(self, read_files: bool = True, config: str | None = None) -> None:
        self.read_files = read_files
        self.config = config
        self.meta: dict[str, dict[str, str | None] | None] = {}
        self.synthetic = False

    def before_train(self, runner: Runner) -> None:
        """Record the data, and warn if a resumed run continues with other data."""
        if not is_main_process():
            return
        started = time.monotonic()
        train = record_of(runner.train_dataloader.dataset, 'train', self.read_files)
        # The validation data belong to the validation loop, which a run without validation lacks.
        val = record_of(runner.val_dataloader.dataset, 'val', self.read_files) if runner.val_loop is not None else None
        print_log(
            f'data fingerprints: training {_identity(train)}, validation {_identity(val) if val else "none"} '
            f'({time.monotonic() - started:.1f} s)',
            logger=runner.logger,
        )
        file = Path(runner.work_dir) / FILE
        before = _read(file) if runner._resume else None
        earlier = list(before['earlier']) if before else []
        if before and not _same(before['train'], train):
            earlier.append(_identity(before['train']))
            runner.logger.log(
                logging.WARNING,
                f'the training data has changed since this run started: its fingerprint was {earlier[-1]} and is now '
                f'{_identity(train)} ({file})',
            )
        write_json_atomic(file, dict(config=self.config, train=train, val=val, earlier=earlier))
        self.meta = dict(train=_fingerprints(train), val=_fingerprints(val) if val else None)
        parts = leaf_datasets(runner.train_dataloader.dataset)
        self.synthetic = all(is_phantom(getattr(part, 'data_root', None)) for part in parts)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the fingerprints, and whether all training data are synthetic, in a checkpoint's ``meta``."""
        meta = checkpoint.setdefault('meta', {})
        meta[META_KEY] = dict(self.meta)
        if self.synthetic:
            meta[SYNTHETIC] = True


def name_of_run(cfg: Config) -> str | None:
    """Return the name of the config of a run, and check that its work directory has no run of another config.

    By default, 'affinity_c8' and 'published/affinity_c8' share a work directory: a run would overwrite or resume the other's.

    Returns:
        The config's name; that of the earlier run if the config is MMEngine's copy in the work directory or has no file.

    Raises:
        ValueError: if there is a run of another config.
    """
    file, name = Path(cfg.work_dir) / FILE, config_name(cfg)
    try:
        started = json.loads(file.read_bytes())['config']
    except (OSError, ValueError, KeyError, TypeError):
        return name  # no run, or one that predates this record
    if not isinstance(started, str):
        return name
    if name is None or name == started or _is_copy(cfg, started):
        return started
    raise ValueError(
        f'{cfg.work_dir} contains a run of the config {started}, not of {name}: choose another folder with --work-dir '
        f'(if the config was only renamed, change "config" in {file})'
    )


def _is_copy(cfg: Config, started: str) -> bool:
    """Return whether a config is a copy that MMEngine wrote to the work directory, of the config ``started``."""
    path, work_dir = Path(cfg.filename).resolve(), Path(cfg.work_dir).resolve()
    if path.parent == work_dir:
        return path.stem == started.rpartition('/')[2]
    return path.parent.name == 'vis_data' and path.parents[2] == work_dir


def reads_files(runner: Runner) -> bool:
    """Whether a run hashes its data files: the config's ``hash_files``, True by default.

    This takes seconds, or a few minutes for all of CNCB-NCOV on a slow network drive.
    """
    return bool(runner.cfg.get('hash_files', True))


def _fingerprints(record: dict[str, Any]) -> dict[str, str | None]:
    return {key: record[key] for key in _KEYS}


def _identity(record: dict[str, Any]) -> str | None:
    return record.get('content_sha256') or record['listing_sha256']


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two records describe the same data, by all fields that both have."""
    return all(first[key] == second[key] for key in _KEYS if first.get(key) and second.get(key))


def _read(file: Path) -> dict[str, Any] | None:
    """Return what the run recorded before it was resumed; None if nothing can be read."""
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        return dict(
            train={
                'listing_sha256': content['train']['listing_sha256'],
                'content_sha256': content['train'].get('content_sha256'),
            },
            earlier=list(content['earlier']),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # the run predates this record, or the file was removed
