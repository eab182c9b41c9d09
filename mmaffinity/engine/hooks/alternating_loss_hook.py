"""Alternate between the two training stages."""

import math

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmaffinity.structures import SEGMENTATION, batch_task

COPIES = ('every', 'best')


@HOOKS.register_module()
class AlternatingLossHook(Hook):
    """Set the training stage for each batch, and copy the segmentation branch after a segmentation step.

    The data determines the stage: a batch of lesion slices is a segmentation step, a batch of labelled slices a classification
    step (:class:`AlternatingSampler` alternates them). Optimizers skip parameters without gradient, so parameters that a stage
    does not train keep their values and moments. Models without stages (no ``set_stage``), such as a Mask R-CNN, are
    unaffected.

    Args:
        copy: when to copy the segmentation branch's weights to the classification branch: after 'every' segmentation step
            (paper), or only if the loss falls below its 'best' so far (Single-Shot Model's code).

    Raises:
        ValueError: if ``copy`` is neither.
    """

    # Runs before the hooks that save or log, so that checkpoints contain the copied branch.
    priority = 'HIGH'

    def __init__(self, copy: str = 'every') -> None:
        if copy not in COPIES:
            raise ValueError(f'copy of AlternatingLossHook must be one of {COPIES}, not {copy!r}')
        self.copy = copy
        self.best_loss = math.inf

    @staticmethod
    def _staged(runner: Runner) -> torch.nn.Module | None:
        """Return the unwrapped model if it has stages, else None."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        return model if hasattr(model, 'set_stage') else None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Set the stage of the next step.

        Raises:
            ValueError: if the batch mixes tasks.
        """
        model = self._staged(runner)
        if model is not None:
            model.set_stage(batch_task(data_batch['data_samples']))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Copy the branch after a segmentation step."""
        model = self._staged(runner)
        if model is None or batch_task(data_batch['data_samples']) != SEGMENTATION:
            return
        if self.copy == 'best':
            # Average over the processes, so that either all of them copy or none does.
            loss = outputs['loss'].detach().clone()
            all_reduce(loss, 'mean')
            loss = loss.item()
            if not loss < self.best_loss:
                return
            self.best_loss = loss
        model.copy_branch()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the best loss so far, on which later copies depend."""
        checkpoint['alternating_best_loss'] = self.best_loss

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore the best loss of a resumed run, but not of a run that starts from another run's weights."""
        if runner._resume:
            self.best_loss = checkpoint.get('alternating_best_loss', math.inf)
