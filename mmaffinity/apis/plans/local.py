"""Run a plan on this machine: each run in its own processes, one run per GPU."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue

import torch

from mmaffinity.utils.cli import PARENT
from mmaffinity.utils.cores import available_cores
from mmaffinity.utils.files import write_json_atomic

from .cost import SECONDS, Cost, read_seconds
from .folder import LOG, PlanFolder, Step, command_line, last_line
from .plan import Run

INTERVAL = 60.0  # seconds between estimates of the time left
Progress = Callable[[str], None]


def run_locally(
    folder: PlanFolder,
    jobs: int | None = None,
    progress: Progress = lambda message: None,
    gpus: Sequence[str] | None = None,
) -> dict[str, str]:
    """Run everything that is not done yet.

    A failed run affects only the runs that start from it. If this process is killed, the same call resumes its runs.

    Args:
        folder: folder of the plan, claimed by :meth:`PlanFolder.claim`.
        jobs: number of simultaneous runs; None means one per GPU, or one without GPUs.
        progress: called when a run starts or ends, and with the estimated time left.
        gpus: indices of the GPUs to use, one per run; None means those that torch finds.

    Returns:
        The reason for each run that did not finish, by its name.

    Raises:
        ValueError: if the data cannot be prepared, or ``jobs`` is not positive.
    """
    if gpus is None:
        gpus = os.environ.get('CUDA_VISIBLE_DEVICES', ','.join(map(str, range(torch.cuda.device_count())))).split(',')
        gpus = gpus[: torch.cuda.device_count()]
    jobs = jobs if jobs is not None else max(1, len(gpus))
    if jobs < 1:
        raise ValueError(f'--jobs must be at least 1, not {jobs}')
    prepare(folder, progress)
    cost = Cost(folder, jobs)
    failed: dict[str, str] = {}
    waiting = [run for run in folder.plan.runs if not folder.done(run)]
    num_done = len(folder.plan.runs) - len(waiting)
    progress(f'{num_done} of {len(folder.plan.runs)} runs are done')
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(jobs):
        slots.put(slot)
    running: dict[Future, Run] = {}

    def one(run: Run) -> str | None:
        slot = slots.get()
        try:
            return _run(folder, run, _environment(slot, jobs, gpus))
        except OSError as error:  # for example a folder that is not writable
            return f'could not be run: {error}'
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(jobs) as pool:
        while waiting or running:
            for run in list(waiting):
                lost = [name for name in run.needs if name in failed]
                if lost:
                    waiting.remove(run)
                    failed[run.name] = f'starts from {lost[0]}, which did not finish'
                elif len(running) < jobs and all(folder.done(folder.plan.run(name)) for name in run.needs):
                    waiting.remove(run)
                    running[pool.submit(one, run)] = run
                    progress(f'{run.name}: started, log in {folder.of(run.name) / LOG}')
            ended, _ = wait(running, INTERVAL, FIRST_COMPLETED)
            for future in ended:
                run, problem = running.pop(future), future.result()
                if problem is not None:
                    failed[run.name] = problem
                num_done += problem is None
                progress(f'{run.name}: {problem or "done"}')
            if running or waiting:
                progress(
                    f'{num_done} of {len(folder.plan.runs)} runs done, {len(running)} running'
                    + (f', {len(failed)} failed' if failed else '')
                    + f'; time left: {cost.time_left()}'
                )
    return failed


def prepare(folder: PlanFolder, progress: Progress = lambda message: None) -> None:
    """Prepare the data that do not exist yet.

    Raises:
        ValueError: if a command fails.
    """
    for step in folder.preparation():
        if step.done:
            continue
        progress(command_line(step.arguments))
        log = folder.out / f'data_{LOG}'
        code = _call(step, log, _environment(0, 1, ()))
        if code or not step.done:
            raise ValueError(f'preparing the data failed (exit code {code}), see {log}: {last_line(log)}')


def _run(folder: PlanFolder, run: Run, environment: dict[str, str]) -> str | None:
    """Run the remaining commands of a run; return the error, if any."""
    folder.start(run)
    log = folder.of(run.name) / LOG
    for step in folder.steps(run):
        if step.done:
            continue
        start = time.monotonic()
        code = _call(step, log, environment)
        if code or (step.makes is not None and not step.done):
            return f'{step.kind} failed (exit code {code}), see {log}: {last_line(log)}'
        if step.makes is not None:
            write_json_atomic(
                folder.of(run.name) / SECONDS, {**read_seconds(folder.of(run.name)), step.makes.name: time.monotonic() - start}
            )
    return None


def _call(step: Step, log: Path, environment: dict[str, str]) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'a', encoding='utf-8') as file:
        file.write(f'$ {command_line(step.arguments)}\n')
        file.flush()
        return subprocess.run(
            [sys.executable, '-m', 'mmaffinity', *step.arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
        ).returncode


def _environment(slot: int, jobs: int, gpus: Sequence[str]) -> dict[str, str]:
    """Give each run its own GPU or its share of the cores, and end it with this process."""
    environment = {**os.environ, PARENT: str(os.getpid())}
    if gpus:
        environment['CUDA_VISIBLE_DEVICES'] = gpus[slot % len(gpus)]
    elif jobs > 1:
        environment.setdefault('OMP_NUM_THREADS', str(max(1, available_cores() // jobs)))
    return environment
