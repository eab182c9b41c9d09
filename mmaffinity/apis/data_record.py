"""Which data a run was trained with: the listing fingerprint, written beside its checkpoints and into them."""
import json
import logging
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaffinity.datasets.verification import record_of
from mmaffinity.utils.files import write_json_atomic

FILE = 'data_fingerprint.json'
META_KEY = 'data_fingerprint'


class DataRecordHook(Hook):
    """Write ``data_fingerprint.json`` into the work folder when training starts, and the fingerprints into checkpoints.

    The file holds ``train`` and ``val`` (null without validation), each as
    :func:`~mmaffinity.datasets.verification.record_of` gives them, and ``earlier``: fingerprints of other training data
    that the same run began with, before it was resumed. A checkpoint's ``meta`` holds the two fingerprints alone.
    """

    def __init__(self) -> None:
        self.meta: dict[str, str | None] = {}

    def before_train(self, runner: Runner) -> None:
        """Record the data; say so where a resumed run goes on with other data than it began with."""
        if not is_main_process():
            return
        train = record_of(runner.train_dataloader.dataset, 'train')
        # Without validation there is no loop that could tell its data.
        val = record_of(runner.val_dataloader.dataset, 'val') if runner.val_loop is not None else None
        file = Path(runner.work_dir) / FILE
        earlier = _earlier(file) if runner._resume else []
        if earlier and earlier[-1] != train['listing_sha256']:
            runner.logger.log(logging.WARNING, f'the training data is not that which this run began with: its fingerprint '
                              f'was {earlier[-1]} and is {train["listing_sha256"]} now ({file})')
        earlier = [fingerprint for fingerprint in earlier if fingerprint != train['listing_sha256']]
        write_json_atomic(file, dict(train=train, val=val, earlier=earlier))
        self.meta = dict(train=train['listing_sha256'], val=val['listing_sha256'] if val else None)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the fingerprints into a checkpoint's ``meta``."""
        checkpoint.setdefault('meta', {})[META_KEY] = dict(self.meta)


def record_training_data(runner: Runner) -> None:
    """Let a run record the data that it is trained with; call it before training."""
    runner.register_hook(DataRecordHook())


def _earlier(file: Path) -> list[Any]:
    """Fingerprints of the training data up to now, the last one at the end."""
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        return [*content['earlier'], content['train']['listing_sha256']]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # the run is older than this record, or the file was taken away
