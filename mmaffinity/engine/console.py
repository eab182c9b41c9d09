"""Console output of a run: this package's messages and a progress line. The log file contains everything."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log
from mmengine.runner import Runner
from torch import Tensor

from mmaffinity.engine.hooks.checkpoint_guard_hook import CheckpointGuardHook
from mmaffinity.utils.console import ProgressLine

PACKAGE = Path(__file__).resolve().parent.parent
# MMEngine's warnings about intended behaviour (the branch that no step trains) or its internals.
NOISE = ('is skipped since its requires_grad=False', 'will be deprecated', 'is the alias of')


class QuietRunner(Runner):
    """A runner that writes environment, hooks and config to the log file only."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build MMEngine's logger, filtered by :func:`concerns_user` on the console."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.addFilter(concerns_user)
                handler.setFormatter(logging.Formatter('%(message)s'))
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict:
        """Load a checkpoint; log mismatches that MMEngine prints, as warnings unless :class:`CheckpointGuardHook` is used."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            checkpoint = super().load_checkpoint(*args, **kwargs)
        guarded = any(isinstance(hook, CheckpointGuardHook) for hook in self.hooks)
        for text in printed.getvalue().splitlines():
            differs = 'do not match' in text or text.startswith(('missing keys', 'unexpected key'))
            print_log(text, logger='current', level=logging.WARNING if differs and not guarded else logging.INFO)
        return checkpoint

    def _log_env(self, env_cfg: dict) -> None:
        """Log the environment, without the shell error that MMEngine's search for compilers prints on the console."""
        sys.stderr.flush()
        console = os.dup(2)
        try:
            with open(os.devnull, 'wb') as nowhere:
                os.dup2(nowhere.fileno(), 2)
            super()._log_env(env_cfg)
        finally:
            os.dup2(console, 2)
            os.close(console)


def concerns_user(record: logging.LogRecord) -> bool:
    """Filter log records: pass warnings and this package's messages, and clear the progress line for them."""
    noise = any(words in record.getMessage() for words in NOISE)
    shown = (record.levelno >= logging.WARNING and not noise) or PACKAGE in Path(record.pathname).parents
    if shown:
        ProgressLine.clear_current()
    return shown


class ProgressHook(Hook):
    """Show the progress of training, validation or testing, with the last losses of both stages.

    Commands add it to runs without ``--verbose``; it is not for configs.
    """

    # Runs after all other work of a step.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._line: ProgressLine | None = None
        self._losses: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Start the progress line for training."""
        self._start('training', 'steps')

    def before_val(self, runner: Runner) -> None:
        """Start the progress line for validation."""
        self._start('validating', 'batches')

    def before_test(self, runner: Runner) -> None:
        """Start the progress line for testing."""
        self._start('testing', 'batches')

    def _start(self, what: str, unit: str) -> None:
        if self._line is not None:
            self._line.close()
        self._line = ProgressLine(what, unit) if is_main_process() else None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Show a training step."""
        if self._line is None:
            return
        if self._line.what != 'training':  # after a validation
            self._start('training', 'steps')
        loss = (outputs or {}).get('loss')
        if isinstance(loss, Tensor):
            self._losses[_task_of(data_batch)] = loss.detach()
        detail = f'epoch {runner.epoch + 1} of {runner.max_epochs}'
        if self._line.due(runner.iter + 1 == runner.max_iters):  # reading a loss waits for the GPU
            detail += ''.join(f', {name} loss {float(value):.3f}' for name, value in sorted(self._losses.items()))
        self._line(runner.iter + 1, runner.max_iters, detail)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        """Show a validation batch."""
        if self._line is not None:
            self._line(batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        """Show a test batch."""
        if self._line is not None:
            self._line(batch_idx + 1, len(runner.test_dataloader))


def build_runner(cfg: Config, verbose: bool) -> Runner:
    """Build a runner; unless ``verbose``, the console shows only a progress line and messages for the user."""
    if verbose:
        return Runner.from_cfg(cfg)
    runner = QuietRunner.from_cfg(cfg)
    runner.register_hook(ProgressHook())
    return runner


def _task_of(batch: Mapping | None) -> str:
    samples = (batch or {}).get('data_samples') or ()
    return str(samples[0].get('task')) if samples else 'training'
