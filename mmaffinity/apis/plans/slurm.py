"""Run a plan under SLURM: readable scripts, one job array, and dependencies between its tasks."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mmaffinity.utils.files import write_json_atomic
from mmaffinity.visualization.saving import write_atomically

from .folder import RUN_FILE, PlanFolder, command_line
from .plan import Run

JOBS = 'jobs.json'
_JOB = re.compile(r'\d+')


def write_scripts(folder: PlanFolder, collect: Sequence[str], jobs: int | None = None, options: Sequence[str] = ()) -> Path:
    """Write the scripts of all unfinished runs.

    ``jobs/<index>.sh`` has the commands of one run, and ``jobs/<index>.json`` its settings; ``run.sbatch`` is an array, each
    task of which runs one of these scripts; ``submit.sh`` submits it. A run that starts from others is a separate task, which
    waits for them (``afterok``) and is cancelled if one of them fails. The last job builds the report once all have ended.

    Args:
        folder: folder of the plan.
        collect: arguments of ``mmaffinity`` that build the report.
        jobs: number of simultaneous independent runs; None means all.
        options: options of sbatch for every job, such as '--partition=gpu'.

    Returns:
        ``submit.sh``.
    """
    place = (folder.out / 'slurm').resolve()
    unfinished = [(index, run) for index, run in enumerate(folder.plan.runs) if not folder.done(run)]
    for index, run in unfinished:
        write_json_atomic(place / 'jobs' / f'{index}.json', folder.settings(run))
        _write(place / 'jobs' / f'{index}.sh', _job(folder, run, place / 'jobs' / f'{index}.json'))
    (place / 'logs').mkdir(parents=True, exist_ok=True)
    array = _script(
        place,
        'run',
        '%a.log',
        options,
        '# One run of the plan. A preempted job is requeued, and resumes from its newest checkpoint.',
        f'exec bash {shlex.quote(str(place))}/jobs/"$SLURM_ARRAY_TASK_ID".sh',
    )
    report = _script(
        place,
        'report',
        'report.log',
        options,
        '# Tables, figures and page of all finished runs.',
        f'cd {shlex.quote(os.getcwd())}',
        f'exec {command_line(collect, absolute=True)}',
    )
    _write(place / 'run.sbatch', array)
    _write(place / 'collect.sbatch', report)
    _write(place / 'submit.sh', _submission(folder, place, unfinished, jobs))
    return place / 'submit.sh'


def submit(folder: PlanFolder, collect: Sequence[str], jobs: int | None = None, options: Sequence[str] = ()) -> list[str]:
    """Write the scripts and submit them.

    Returns:
        The job numbers.

    Raises:
        ValueError: if sbatch is missing or refuses a job, or jobs of this folder are still in the queue.
    """
    if shutil.which('sbatch') is None:
        raise ValueError(
            'this machine has no sbatch, so --launcher slurm cannot submit jobs: log in to a node of the cluster or use '
            '--launcher local; --dry-run writes the scripts without submitting them'
        )
    record = folder.out / 'slurm' / JOBS
    queued = _queued(record)
    if queued:
        raise ValueError(
            f'jobs of {folder.out} are still in the queue ({", ".join(queued)}): wait for them, or cancel them '
            f'with scancel {" ".join(queued)}'
        )
    script = write_scripts(folder, collect, jobs, options)
    done = subprocess.run(['bash', str(script)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    numbers = _JOB.findall(done.stdout)
    if numbers:
        write_json_atomic(record, dict(jobs=numbers))
    if done.returncode:
        raise ValueError(
            f'sbatch refused a job of {script}: {done.stderr.strip()[-500:]}'
            + (f'; cancel those already submitted with scancel {" ".join(numbers)}' if numbers else '')
        )
    return numbers


def _queued(record: Path) -> list[str]:
    try:
        jobs = json.loads(record.read_text(encoding='utf-8'))['jobs']
    except (OSError, ValueError, KeyError):
        return []
    # squeue fails for a job that the controller has forgotten, so list all jobs and look for these.
    done = subprocess.run(['squeue', '--noheader', '--format=%A %F'], capture_output=True, text=True)  # jobs and arrays
    there = set(done.stdout.split())
    return [job for job in jobs if job in there]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _job(folder: PlanFolder, run: Run, settings: Path) -> str:
    record = shlex.quote(str(folder.of(run.name) / RUN_FILE))
    lines = [
        '#!/usr/bin/env bash',
        f'# {run.name}: {run.config}',
        'set -euo pipefail',
        '# SLURM sends SIGTERM before it kills a preempted job. Without this line, the job would fail and not be requeued.',
        "trap '' TERM",
        f'cd {shlex.quote(os.getcwd())}',
        '# Settings of the run, with which later submissions are compared.',
        f'if [ ! -e {record} ]; then',
        f'  mkdir -p "$(dirname {record})"',
        f'  cp {shlex.quote(str(settings))} {record}.part',
        f'  mv {record}.part {record}',
        'fi',
    ]
    for step in folder.steps(run):  # the data was prepared before the jobs were submitted
        command = command_line(step.arguments, absolute=True)
        lines.append(
            command if step.makes is None or step.kind == 'train' else f'[ -e {shlex.quote(str(step.makes))} ] || {command}'
        )
    return '\n'.join(lines) + '\n'


def _script(place: Path, name: str, log: str, options: Sequence[str], *lines: str) -> str:
    """Return a script for sbatch: its options, then the lines."""
    head = [
        '#!/usr/bin/env bash',
        f'#SBATCH --job-name=mmaffinity_{name}',
        f'#SBATCH --output={shlex.quote(f"{place}/logs/{log}")}',
        '#SBATCH --open-mode=append',
        '#SBATCH --requeue',
        *(f'#SBATCH {option}' for option in options),
    ]
    return '\n'.join([*head, *lines]) + '\n'


def _submission(folder: PlanFolder, place: Path, unfinished: Sequence[tuple[int, Run]], jobs: int | None) -> str:
    """Return the script that submits the array, the runs that wait for others, and the report."""
    open_runs = {run.name for _, run in unfinished}
    free = [(index, run) for index, run in unfinished if not open_runs & set(run.needs)]
    lines = [
        '#!/usr/bin/env bash',
        f'# Submits the runs of "{folder.plan.title}" and prints the numbers of their jobs.',
        'set -euo pipefail',
        f'cd {shlex.quote(str(place))}',
    ]
    tasks: dict[str, str] = {}
    variables = []
    if free:
        limit = f'%{jobs}' if jobs else ''
        lines += [
            f'# {", ".join(run.name for _, run in free)}',
            f'runs=$(sbatch --parsable --array={",".join(str(index) for index, _ in free)}{limit} run.sbatch)',
            'echo "$runs"',
        ]
        tasks.update({run.name: f'${{runs}}_{index}' for index, run in free})
        variables.append('$runs')
    for index, run in unfinished:  # in the order of the plan, where each run follows those that it needs
        if run.name in tasks:
            continue
        needs = ':'.join(tasks[name] for name in run.needs if name in tasks)
        lines += [
            f'# {run.name}, after {", ".join(name for name in run.needs if name in tasks)}',
            f'run_{index}=$(sbatch --parsable --array={index} --dependency="afterok:{needs}" --kill-on-invalid-dep=yes '
            'run.sbatch)',
            f'echo "$run_{index}"',
        ]
        tasks[run.name] = f'${{run_{index}}}_{index}'
        variables.append(f'$run_{index}')
    after = f'--dependency="afterany:{":".join(variables)}" ' if variables else ''
    lines.append(f'sbatch --parsable {after}collect.sbatch')
    return '\n'.join(lines) + '\n'
