"""The count of slices that training skipped."""
from collections.abc import Iterator
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmaffinity.utils.wording import plural

_SHOWN = 20
_META_KEY = 'skipped_slices'


@HOOKS.register_module()
class UnreadableSlicesHook(Hook):
    """Say at the end of training how many slices could not be read and were skipped (``on_unreadable='skip'``).

    Checkpoints carry the paths up to their epoch, so that the end of a resumed run counts what was skipped before, too.
    A run that ends by an error tells what its own process knows, see :meth:`tell`.
    """

    def __init__(self) -> None:
        self._known: list[str] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Go on counting where a resumed run was."""
        if runner._resume:
            self._known = list((checkpoint.get('meta') or {}).get(_META_KEY) or ())

    def after_train_epoch(self, runner: Runner) -> None:
        """Collect the paths of all processes, as one alone writes the checkpoint."""
        if _skips(runner):
            self._known = sorted({path for theirs in all_gather_object(self._mine(runner)) for path in theirs})

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the paths into a checkpoint's ``meta``."""
        if self._known:
            checkpoint.setdefault('meta', {})[_META_KEY] = list(self._known)

    def after_train(self, runner: Runner) -> None:
        """Log the count, and the paths; of all processes together."""
        if _skips(runner):
            self.after_train_epoch(runner)
            self._log(runner, self._known)

    def tell(self, runner: Runner) -> None:
        """Log what this process and, up to the last epoch, the others skipped, after a run that did not come to its end.

        Nothing is asked of other processes, which may have ended.
        """
        # Asking a runner for its loop builds it, and with it data sets that may be the reason why the run ended.
        if isinstance(runner._train_loop, BaseLoop) and _skips(runner):
            self._log(runner, self._mine(runner))

    def _mine(self, runner: Runner) -> list[str]:
        """What is known of all processes, and what this one skipped since."""
        parts = _parts(runner.train_dataloader.dataset)
        return sorted(set(self._known).union(*(part.skipped() for part in parts if part.on_unreadable == 'skip')))

    def _log(self, runner: Runner, paths: list[str]) -> None:
        runner.message_hub.update_info('skipped_slices', len(paths))
        if not paths:
            runner.logger.info('no slice was skipped: all could be read')
            return
        more = f' and {len(paths) - _SHOWN} more' if len(paths) > _SHOWN else ''
        runner.logger.warning(f'{plural(len(paths), "slice", "was")} skipped and replaced by the next in the list, as reading '
                              f'failed: {", ".join(paths[:_SHOWN])}{more}')


def _skips(runner: Runner) -> bool:
    return any(part.on_unreadable == 'skip' for part in _parts(runner.train_dataloader.dataset))


def _parts(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that have a policy, inside concatenations and wrappers."""
    if hasattr(dataset, 'on_unreadable'):
        yield dataset
    inner = getattr(dataset, 'datasets', None) or ([dataset.dataset] if hasattr(dataset, 'dataset') else [])
    for part in inner:
        yield from _parts(part)
