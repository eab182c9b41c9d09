"""A hook that holds a training until it is killed."""

import time

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class WaitingHook(Hook):
    """Wait at the end of an epoch, once its checkpoint is written; a resumed training goes through.

    Args:
        epoch: number of the epoch.
        seconds: how long at most.
    """

    priority = 'LOWEST'

    def __init__(self, epoch: int, seconds: float) -> None:
        self.epoch = epoch
        self.seconds = seconds

    def before_train(self, runner) -> None:
        self.resumed = runner.iter > 0

    def after_train_epoch(self, runner) -> None:
        if runner.epoch + 1 == self.epoch and not self.resumed:
            time.sleep(self.seconds)
