"""The end of a run whose loss is no number any more."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmaffinity.structures import SliceDataSample

from .whole_checkpoint_hook import WholeCheckpointHook


@dataclass
class _Step:
    """What is kept of a step until its losses have arrived on the CPU."""

    iteration: int
    epoch: int
    stage: str
    slices: list[str]
    terms: list[str]
    values: Tensor
    event: 'torch.cuda.Event | None'


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop training when a loss is NaN or infinite, and say where.

    The losses that a step reports are those before the scaling of mixed precision, so steps that its gradient scaler leaves
    out, which is how it finds its scale, do not count.

    On a GPU, reading a loss at once would make the program wait for the step's backward pass. The losses are copied
    beside the computation instead, and looked at after the next step, or before a checkpoint is written.

    Raises:
        ValueError: during training, with the stage, the terms, the slices of the batch and the last good checkpoint.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self) -> None:
        self._pending: _Step | None = None

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Look at the step before, and at this one where its numbers are on the CPU already."""
        self._check(runner)
        losses = {name: value for name, value in (outputs or {}).items() if 'loss' in name and isinstance(value, Tensor)}
        if not losses:
            return
        samples: Sequence[SliceDataSample] = (data_batch or {}).get('data_samples') or ()
        values = torch.stack([value.detach().float().mean() for value in losses.values()])
        event = None
        if values.is_cuda:
            arrived = torch.empty(values.shape, pin_memory=True)
            arrived.copy_(values, non_blocking=True)
            values, event = arrived, torch.cuda.Event()
            event.record()
        self._pending = _Step(
            runner.iter + 1, runner.epoch + 1, ' and '.join(sorted({str(sample.get('task')) for sample in samples})),
            [str(sample.get('img_path')) for sample in samples], list(losses), values, event)
        if event is None:
            self._check(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look at the last step of the epoch."""
        self._check(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at the last step before what came of it is saved."""
        self._check(runner)

    def _check(self, runner: Runner) -> None:
        step, self._pending = self._pending, None
        if step is None:
            return
        if step.event is not None:
            step.event.synchronize()
        bad = {name: value for name, value in zip(step.terms, step.values.tolist()) if not math.isfinite(value)}
        if not bad:
            return
        # The sum is named only where no single term is to blame.
        blamed = {name: value for name, value in bad.items() if name != 'loss'} or bad
        terms = ', '.join(f'{name} = {value}' for name, value in blamed.items())
        raise ValueError(
            f'training stopped at iteration {step.iteration} (epoch {step.epoch}), as the loss of the {step.stage} stage is '
            f'not finite: {terms}; slices of the batch: {", ".join(step.slices)}; last good checkpoint: '
            f'{_last_good(runner)}. Look at these slices, or lower the learning rate (optim_wrapper.optimizer.lr), and go '
            'on from that checkpoint')


def _last_good(runner: Runner) -> str:
    written = [hook.last_whole for hook in runner.hooks if isinstance(hook, WholeCheckpointHook) and hook.last_whole]
    start = runner._load_from if runner._resume else None
    return written[-1] if written else str(start or 'none was written yet')
