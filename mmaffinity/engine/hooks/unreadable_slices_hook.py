"""The count of slices that training skipped."""
from collections.abc import Iterator
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

_SHOWN = 20


@HOOKS.register_module()
class UnreadableSlicesHook(Hook):
    """Say at the end of training how many slices could not be read and were skipped (``on_unreadable='skip'``)."""

    def after_train(self, runner: Runner) -> None:
        """Log the count, and the paths; of all processes together."""
        parts = list(_parts(runner.train_dataloader.dataset))
        if not any(part.on_unreadable == 'skip' for part in parts):
            return
        mine = [path for part in parts for path in part.skipped()]
        paths = sorted({path for theirs in all_gather_object(mine) for path in theirs})
        runner.message_hub.update_info('skipped_slices', len(paths))
        if not paths:
            runner.logger.info('0 slices were skipped: all could be read')
            return
        more = f' and {len(paths) - _SHOWN} more' if len(paths) > _SHOWN else ''
        runner.logger.warning(f'{len(paths)} slices could not be read and were skipped, their successors in the list taken '
                              f'instead: {", ".join(paths[:_SHOWN])}{more}')


def _parts(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that have a policy, inside concatenations and wrappers."""
    if hasattr(dataset, 'on_unreadable'):
        yield dataset
    inner = getattr(dataset, 'datasets', None) or ([dataset.dataset] if hasattr(dataset, 'dataset') else [])
    for part in inner:
        yield from _parts(part)
