"""Stop a run whose loss is NaN or infinite."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmaffinity.structures import SliceDataSample
from mmaffinity.structures.non_finite_output_error import NonFiniteOutputError

from .whole_checkpoint_hook import WholeCheckpointHook


@dataclass
class _Step:
    """A step, kept until its losses have arrived on the CPU."""

    iteration: int
    epoch: int
    stage: str
    slices: list[str]
    terms: list[str]
    values: Tensor
    event: 'torch.cuda.Event | None'


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop training when a loss or the network's output is NaN or infinite, and report where.

    Losses are checked before mixed-precision scaling, so steps that the gradient scaler skips to find its scale do not count.

    On a GPU, reading a loss immediately would block until the step's backward pass has finished. Losses are therefore copied
    asynchronously and checked after the next step, or before a checkpoint is written.

    If the weights have diverged, the network may reject its own output before there is a loss. The previous step is then
    checked first, because its loss may be the cause; otherwise the error is reported like a non-finite loss.

    Raises:
        ValueError: during training, with the stage, the terms, the slices of the batch and the last good checkpoint.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self) -> None:
        self._pending: _Step | None = None

    def before_train(self, runner: Runner) -> None:
        """Wrap ``train_step``, because MMEngine has no hook for a failing step."""
        model: Any = runner.model
        step = model.train_step

        def train_step(data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
            try:
                return step(data, optim_wrapper=optim_wrapper)
            except NonFiniteOutputError as error:
                self._check(runner)
                stage, slices = _stage_and_slices(data)
                reason = f"the network's output in the {stage} stage is not finite"
                raise ValueError(_message(runner, runner.iter + 1, runner.epoch + 1, reason, slices)) from error

        model.train_step = train_step

    def after_train(self, runner: Runner) -> None:
        """Restore the model's ``train_step``."""
        vars(runner.model).pop('train_step', None)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Check the previous step, and this one if its losses are already on the CPU."""
        self._check(runner)
        losses = {name: value for name, value in (outputs or {}).items() if 'loss' in name and isinstance(value, Tensor)}
        if not losses:
            return
        values = torch.stack([value.detach().float().mean() for value in losses.values()])
        event = None
        if values.is_cuda:
            arrived = torch.empty(values.shape, pin_memory=True)
            arrived.copy_(values, non_blocking=True)
            values, event = arrived, torch.cuda.Event()
            event.record()
        stage, slices = _stage_and_slices(data_batch)
        self._pending = _Step(runner.iter + 1, runner.epoch + 1, stage, slices, list(losses), values, event)
        if event is None:
            self._check(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Check the last step of the epoch."""
        self._check(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the last step before its result is saved."""
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
        # Report the total loss only if no single term is the cause.
        blamed = {name: value for name, value in bad.items() if name != 'loss'} or bad
        terms = ', '.join(f'{name} = {value}' for name, value in blamed.items())
        reason = f'the loss of the {step.stage} stage is not finite: {terms}'
        raise ValueError(_message(runner, step.iteration, step.epoch, reason, step.slices))


def _stage_and_slices(batch: dict | None) -> tuple[str, list[str]]:
    """Return the stage and the slices of a batch."""
    samples: Sequence[SliceDataSample] = (batch or {}).get('data_samples') or ()
    stage = ' and '.join(sorted({str(sample.get('task')) for sample in samples}))
    return stage, [str(sample.get('img_path')) for sample in samples]


def _message(runner: Runner, iteration: int, epoch: int, reason: str, slices: list[str]) -> str:
    """Describe where training stopped and how to continue."""
    good = _last_good(runner)
    # Resuming restores the learning rate from the checkpoint, so a lower one requires a new run.
    start = f'load_from={shlex.quote(good)} ' if good else ''
    rate = ((runner.cfg.get('optim_wrapper') or {}).get('optimizer') or {}).get('lr')
    below = 'lower than before' if rate is None else f'below {rate}'
    return (
        f'training stopped at iteration {iteration} (epoch {epoch}): {reason}; '
        f'slices of the batch: {", ".join(slices)}; last good checkpoint: {good or "none yet"}. Check these '
        f'slices, or start a new run in another work directory (--work-dir), without --resume, with --cfg-options {start}'
        f'optim_wrapper.optimizer.lr=RATE, where RATE is {below}'
    )


def _last_good(runner: Runner) -> str | None:
    written = [hook.last_whole for hook in runner.hooks if isinstance(hook, WholeCheckpointHook) and hook.last_whole]
    start = runner._load_from if runner._resume else None
    return str(written[-1]) if written else start and str(start)
