"""Estimate the time left for a plan from the steps measured so far."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmaffinity.utils.config import load_config
from mmaffinity.utils.json_lines import JsonLines
from mmaffinity.utils.wording import plural

from .folder import PlanFolder, Step
from .plan import Run

SECONDS = 'seconds.json'


@dataclass
class TimeLeft:
    """The time left for a plan.

    Attributes:
        seconds: estimate for all remaining steps, divided by the number of simultaneous runs; None if none was measured yet.
        unknown: number of tests not included, because no test has been measured yet.
    """

    seconds: float | None
    unknown: int = 0

    def __str__(self) -> str:
        if self.seconds is None:
            return 'unknown until the first training steps are logged'
        minutes = round(self.seconds / 60)
        text = f'{minutes // 60} h {minutes % 60} min' if minutes >= 60 else f'{minutes} min' if minutes else 'under a minute'
        return f'about {text}' + (f', and {plural(self.unknown, "test")} not measured yet' if self.unknown else '')


class Cost:
    """Estimate the time left. A training of unknown speed is assumed to take the mean measured time per step.

    Args:
        folder: folder of the plan.
        jobs: number of simultaneous runs.
    """

    def __init__(self, folder: PlanFolder, jobs: int) -> None:
        self.folder, self.jobs = folder, jobs
        self._lengths: dict[str, int | None] = {}

    def time_left(self) -> TimeLeft:
        """Return the estimate for all unfinished steps."""
        runs = self.folder.plan.runs
        speeds = {run.name: measured for run in runs if (measured := training_speed(self.folder.of(run.name)))}
        batch = self._seconds_per_test_batch(runs)
        if not speeds:
            return TimeLeft(None)
        mean = sum(seconds for seconds, _ in speeds.values()) / len(speeds)
        total, unknown = 0.0, 0
        for run in runs:
            for step in self.folder.steps(run):
                if step.done or step.kind == 'verify':
                    continue
                if step.kind == 'test':
                    length = self._length(step, run, 'test_dataloader')
                    if batch is None or length is None:
                        unknown += 1
                    else:
                        total += batch * length
                    continue
                length = self._length(step, run, 'train_dataloader')
                seconds, done = speeds.get(run.name, (mean, 0))
                total += seconds * max(0, (length or 0) - done)
        return TimeLeft(total / self.jobs, unknown)

    def _seconds_per_test_batch(self, runs: Iterable[Run]) -> float | None:
        seconds = batches = 0.0
        for run in runs:
            measured = read_seconds(self.folder.of(run.name))
            for step in self.folder.steps(run):
                took, length = measured.get(step.makes.name if step.makes else ''), None
                if step.kind == 'test' and took:
                    length = self._length(step, run, 'test_dataloader')
                if took and length:
                    seconds, batches = seconds + took, batches + length
        return seconds / batches if batches else None

    def _length(self, step: Step, run: Run, loader: str) -> int | None:
        """Return the number of steps of a training, or of batches of a test; None if the data does not exist yet."""
        key = f'{step.arguments[1]} {run.options} {loader}'
        if self._lengths.get(key) is None:
            self._lengths[key] = number_of_steps(load_config(step.arguments[1], run.options), loader)
        return self._lengths[key]


def number_of_steps(config: Config, loader: str) -> int | None:
    """Return the number of batches in a training run or test; None if the data cannot be read."""
    loop = (config.get('train_cfg') or {}) if loader == 'train_dataloader' else {}
    if loop.get('max_iters'):
        return int(loop['max_iters'])
    settings: dict[str, Any] = {**config[loader].to_dict(), 'num_workers': 0, 'persistent_workers': False}
    settings.pop('prefetch_factor', None)
    try:
        with DefaultScope.overwrite_default_scope('mmdet'):
            return len(Runner.build_dataloader(settings, seed=0)) * int(loop.get('max_epochs') or 1)
    except (OSError, ValueError):
        return None


def training_speed(folder: Path) -> tuple[float, int] | None:
    """Return the seconds per step and the number of steps so far, from the scalars that MMEngine logs; None without any."""
    times: list[float] = []
    last = 0
    for file in folder.glob('*/vis_data/scalars.json'):
        for _, record in JsonLines(file).lines():  # a record is None while its line is being written
            if record and 'lr' in record and isinstance(record.get('time'), (int, float)):
                times.append(record['time'])
                last = max(last, int(record.get('step', 0)))
    return (sum(times) / len(times), last) if times else None


def read_seconds(folder: Path) -> Mapping[str, float]:
    """Return how long the finished commands of a run took, in seconds, by the name of the file that each made."""
    try:
        return json.loads((folder / SECONDS).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
