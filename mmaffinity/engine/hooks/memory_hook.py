"""Record the memory usage of a run."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaffinity.utils.memory import process_memory


@HOOKS.register_module()
class MemoryHook(Hook):
    """Record the resident memory of the process and its loader workers (Linux only).

    Args:
        interval: iterations between rows.
        last: stop training after the epoch of this iteration; None never stops it.
        limit: MiB by which memory may grow between the first and the last row of training or testing; None for no limit.

    Attributes:
        rows: (iteration, MiB of the process, MiB of its loader workers) per interval. Memory shared with the process counts
            for each worker.

    Raises:
        ValueError: if ``interval`` is below 1, the system does not report memory, or, at the end of a run with a limit, memory
            grew by more than that or was measured less than twice.
    """

    # Runs after all other work of a step.
    priority = 'LOWEST'

    def __init__(self, interval: int = 200, last: int | None = None, limit: float | None = None) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} of MemoryHook must be 1 or more')
        if process_memory('VmRSS') is None:
            raise ValueError('MemoryHook reads resident memory from /proc, which this system does not have: use Linux')
        self.interval = interval
        self.last = last
        self.limit = limit
        self.rows: list[tuple[int, float, float]] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Add a row if one is due."""
        self._note(runner, runner.iter + 1)
        if self.last is not None and runner.iter + 1 >= self.last:
            runner.train_loop.stop_training = True

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        """Add a row if one is due."""
        self._note(runner, batch_idx + 1)

    def after_train(self, runner: Runner) -> None:
        """Report the memory growth."""
        self._conclude(runner)

    def after_test(self, runner: Runner) -> None:
        """Report the memory growth."""
        self._conclude(runner)

    def _note(self, runner: Runner, iteration: int) -> None:
        if iteration % self.interval == 0:
            own = os.getpid()
            process, workers = _resident(own), sum(_resident(child) for child in _children(own))
            self.rows.append((iteration, process, workers))
            runner.logger.info(f'iteration {iteration}: {process:.1f} MiB resident, loader workers {workers:.1f} MiB')

    def _conclude(self, runner: Runner) -> None:
        if len(self.rows) < 2:
            if self.limit is not None:
                raise ValueError(
                    f'with one measurement every {self.interval} iterations, there are {len(self.rows)}, which cannot show '
                    f'whether memory grew by more than {self.limit:g} MiB: use a smaller interval, or more slices'
                )
            return
        growth = sum(self.rows[-1][1:]) - sum(self.rows[0][1:])
        runner.logger.info(f'memory from iteration {self.rows[0][0]} to {self.rows[-1][0]}: {growth:+.1f} MiB')
        if self.limit is not None and growth > self.limit:
            raise ValueError(f'memory grew by {growth:.1f} MiB, more than the limit of {self.limit:g} MiB')


def _resident(process: int) -> float:
    """Return the resident memory of a process in MiB; 0 if it has ended."""
    return process_memory('VmRSS', process) or 0.0


def _children(process: int) -> list[int]:
    children = Path(f'/proc/{process}/task/{process}/children')
    return [int(child) for child in children.read_text().split()] if children.exists() else []
