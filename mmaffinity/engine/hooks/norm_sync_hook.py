"""Synchronise BatchNorm statistics across processes."""

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm


@HOOKS.register_module()
class NormSyncHook(Hook):
    """Average BatchNorm's running means and variances over the processes after each epoch.

    Weights are equal in all processes because gradients are averaged, but running statistics follow each process's own slices.
    Averaging them before the epoch is saved and validated lets all processes validate the same model, and a resumed run start
    from the same state as an uninterrupted one. Single-process runs are unaffected.
    """

    # Runs before the checkpoint is written.
    priority = 'NORMAL'

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the statistics."""
        if get_world_size() == 1:
            return
        statistics = [
            buffer
            for module in runner.model.modules()
            if isinstance(module, _BatchNorm)
            for buffer in (module.running_mean, module.running_var)
            if buffer is not None
        ]
        if not statistics:
            return
        together = torch.cat([buffer.flatten() for buffer in statistics])
        all_reduce(together, 'mean')
        for buffer, mean in zip(statistics, together.split([buffer.numel() for buffer in statistics])):
            buffer.copy_(mean.view_as(buffer))
