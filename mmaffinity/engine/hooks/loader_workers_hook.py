"""End loader workers when their run is killed."""

import os
from functools import partial
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmaffinity.utils.parent_watch import end_with_parent


@HOOKS.register_module()
class LoaderWorkersHook(Hook):
    """End the loader workers of a killed run.

    torch's workers notice that their parent is gone, but then wait for their loaded batches to be read, which never happens:
    they would run forever and keep their memory.
    """

    def before_train(self, runner: Runner) -> None:
        """Watch the parent in training workers."""
        _watch_from(runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Watch the parent in validation workers."""
        _watch_from(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Watch the parent in test workers."""
        _watch_from(runner.test_dataloader)


def _watch_from(loader: DataLoader) -> None:
    known = loader.worker_init_fn
    if loader.num_workers and not (isinstance(known, partial) and known.func is _start_worker):
        loader.worker_init_fn = partial(_start_worker, parent=os.getpid(), then=known)


def _start_worker(worker: int, parent: int, then: Any) -> None:
    end_with_parent(parent)
    if then is not None:
        then(worker)
