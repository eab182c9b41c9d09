"""Report the slices that training skipped."""

from collections.abc import Iterator
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmaffinity.utils.nested_datasets import leaf_datasets
from mmaffinity.utils.wording import first_and_rest, plural

_SHOWN = 20
_META_KEY = 'skipped_slices'


@HOOKS.register_module()
class UnreadableSlicesHook(Hook):
    """Report at the end of training how many unreadable slices were skipped (``on_unreadable='skip'``).

    Checkpoints store the paths up to their epoch, so a resumed run also counts slices skipped before. If a run fails, each
    process reports what it knows (see :meth:`log_skipped`).
    """

    def __init__(self) -> None:
        self._known: list[str] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore the paths of a resumed run."""
        if runner._resume:
            self._known = list((checkpoint.get('meta') or {}).get(_META_KEY) or ())

    def after_train_epoch(self, runner: Runner) -> None:
        """Collect the paths of all processes, because only one writes the checkpoint."""
        if _skips(runner):
            self._known = sorted({path for theirs in all_gather_object(self._mine(runner)) for path in theirs})

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the paths in a checkpoint's ``meta``."""
        if self._known:
            checkpoint.setdefault('meta', {})[_META_KEY] = list(self._known)

    def after_train(self, runner: Runner) -> None:
        """Log the number and paths of slices skipped by all processes."""
        if _skips(runner):
            self.after_train_epoch(runner)
            self._log(runner, self._known)

    def log_skipped(self, runner: Runner) -> None:
        """After a failed run, log the slices skipped by this process and, up to the last epoch, by the others.

        Other processes may have ended, so this does not communicate with them.
        """
        # Accessing a runner's loop would build it, including data sets that may be why the run failed.
        if isinstance(runner._train_loop, BaseLoop) and _skips(runner):
            self._log(runner, self._mine(runner))

    def _mine(self, runner: Runner) -> list[str]:
        """Return the known paths of all processes and those that this process has skipped since."""
        parts = _parts(runner.train_dataloader.dataset)
        return sorted(set(self._known).union(*(part.skipped() for part in parts if part.on_unreadable == 'skip')))

    def _log(self, runner: Runner, paths: list[str]) -> None:
        runner.message_hub.update_info('skipped_slices', len(paths))
        if not paths:
            runner.logger.info('no slice was skipped: all were readable')
            return
        runner.logger.warning(
            f'{plural(len(paths), "slice", "was")} unreadable, skipped and replaced by the next in the '
            f'list: {first_and_rest(paths, _SHOWN)}'
        )


def _skips(runner: Runner) -> bool:
    return any(part.on_unreadable == 'skip' for part in _parts(runner.train_dataloader.dataset))


def _parts(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that have an ``on_unreadable`` policy."""
    return (leaf for leaf in leaf_datasets(dataset) if hasattr(leaf, 'on_unreadable'))
