"""The folder of a plan: its commands, its progress, and protection against mixing plans."""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmaffinity.utils.config import load_config
from mmaffinity.utils.config_text import config_differences
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.wording import first_few

from .plan import Plan, Run, as_arguments

PLAN_FILE, RUN_FILE, LOG = 'plan.json', 'run.json', 'log.txt'
_PLACES = frozenset({'data_root', 'statistics'})  # the location of the data does not affect results


@dataclass(frozen=True)
class Step:
    """A command of a plan.

    Attributes:
        kind: 'prepare', 'verify', 'train' or 'test'.
        arguments: arguments of ``mmaffinity``.
        makes: file that exists once the command has succeeded; None for a check.
    """

    kind: str
    arguments: tuple[str, ...]
    makes: Path | None

    @property
    def done(self) -> bool:
        """Whether the command need not run."""
        return self.makes is not None and self.makes.exists()


class PlanFolder:
    """The folder with the runs and the report of a plan.

    Args:
        plan: the plan.
        out: the folder, for ``runs/<name>/``, ``report/`` and, with SLURM, ``slurm/``.
        runs: folder of the runs below ``out``.
    """

    def __init__(self, plan: Plan, out: str | Path, runs: str = 'runs') -> None:
        self.plan, self.out, self.runs = plan, Path(out), runs

    def of(self, run: str) -> Path:
        """Return the folder of a run."""
        return self.out / self.runs / run

    def state(self, run: Run) -> str:
        """Return the state of a run: done, not finished (with its log), or not started."""
        if self.done(run):
            return 'done'
        logs = [
            path
            for path in (self.of(run.name) / LOG, self.out / 'slurm' / 'logs' / f'{self.plan.runs.index(run)}.log')
            if path.is_file()
        ]
        newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
        return 'not started' if newest is None else f'not finished, see {newest}: {last_line(newest)}'

    @property
    def report(self) -> Path:
        """Folder of the tables, figures and page."""
        return self.out / 'report'

    def preparation(self) -> list[Step]:
        """Return the commands that prepare the data."""
        return [Step('prepare', tuple(arguments), makes) for arguments, makes in self.plan.prepare]

    def steps(self, run: Run) -> list[Step]:
        """Return the commands of a run, in order."""
        folder = self.of(run.name)
        options = as_arguments(run.options)
        checkpoint = folder / run.checkpoint
        starts = as_arguments({key: str(self.of(name) / self.plan.run(name).checkpoint) for key, name in run.starts.items()})
        steps = []
        if run.fold is not None:
            steps.append(Step('verify', ('verify', run.config, '--lists-only', *_options(options)), None))
        steps.append(
            Step(
                'train',
                (
                    'train',
                    run.config,
                    '--work-dir',
                    str(folder),
                    '--resume',
                    '--seed',
                    str(run.seed),
                    *_options([*options, *starts]),
                ),
                checkpoint,
            )
        )
        for name, config in run.tests.items():
            results = folder / f'{name}.json'
            steps.append(
                Step(
                    'test',
                    ('test', config, str(checkpoint), '--work-dir', str(folder), '--out', str(results), *_options(options)),
                    results,
                )
            )
        return steps

    def done(self, run: Run) -> bool:
        """Return whether a run and its tests are finished."""
        return all(step.done for step in self.steps(run) if step.makes is not None)

    def claim(self) -> None:
        """Reserve the folder for this plan, and each run's folder for its config.

        Raises:
            ValueError: if the folder belongs to another plan or other data, contains other files, or the config of a run has
                changed since the run started.
        """
        identity = dict(title=self.plan.title, data_root=str(self.plan.root.resolve()))
        known = self._read(self.out / PLAN_FILE)
        for key, value in identity.items():
            if known is not None and known.get(key) != value:
                raise ValueError(
                    f'{self.out} belongs to the plan "{known.get("title")}" on {known.get("data_root")}, not '
                    f'"{self.plan.title}" on {identity["data_root"]}: choose another folder'
                )
        if (
            known is None
            and self.out.is_dir()
            and any(not path.name.startswith('.') for path in self.out.iterdir() if path.resolve() != self.plan.root.resolve())
        ):
            raise ValueError(f'{self.out} is not empty and contains no plan ({PLAN_FILE}): choose another folder')
        changed = {}
        for run in self.plan.runs:
            record = self._read(self.of(run.name) / RUN_FILE)
            if record is not None and (fields := self._changes(run, record)):
                changed[run.name] = fields
        if changed:
            name, fields = next(iter(changed.items()))
            raise ValueError(
                f'the config of {first_few(list(changed))} has changed since {self.of(name)} was started (for '
                f'{name}: {first_few(fields)}): undo the change, choose another folder, or remove the folder to '
                'train again'
            )
        write_json_atomic(self.out / PLAN_FILE, dict(identity, plan=str(self.plan.path), left_out=self.plan.left_out))

    def start(self, run: Run) -> None:
        """Record the settings of a run before its first command, and those of tests that have been added since."""
        path = self.of(run.name) / RUN_FILE
        known, now = self._read(path), self.settings(run)
        if known is None:
            write_json_atomic(path, now)
        elif set(now['tests']) - set(known.get('tests', now['tests'])):
            write_json_atomic(path, {**known, 'tests': {**now['tests'], **known['tests']}})

    def settings(self, run: Run) -> dict:
        """Return what the results of a run depend on, as plain data."""
        tests = {name: load_config(config, run.options).to_dict() for name, config in run.tests.items()}
        config = load_config(run.config, run.options).to_dict()
        return json.loads(json.dumps(dict(seed=run.seed, starts=run.starts, config=config, tests=tests), default=str))

    def _changes(self, run: Run, known: dict) -> list[str]:
        """Return the names of the settings of a run that differ from its record."""
        now = self.settings(run)
        fields = [name for name, _, _ in config_differences(known.get('config'), now['config'], _PLACES)]
        starts = known.get('starts', now['starts'])
        fields += sorted(key for key in {*starts, *now['starts']} if starts.get(key) != now['starts'].get(key))
        for test, config in known.get('tests', {}).items():
            if test in now['tests']:
                found = config_differences(config, now['tests'][test], _PLACES)
                fields += [f'{name} of the test {test}' for name, _, _ in found]
        return fields or (['seed'] if known.get('seed') != run.seed else [])

    def _read(self, path: Path) -> dict | None:
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            if not isinstance(content, dict):
                raise ValueError('not a JSON object')
            return content
        except ValueError as error:
            raise ValueError(
                f'{path} is damaged ({error}): choose another folder, or remove this file if the folder belongs to this plan'
            ) from error


def last_line(log: Path) -> str:
    """Return the last non-empty line of a log, where errors are."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines() if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), 'no output')[:300]


def _options(options: Sequence[str]) -> list[str]:
    return ['--cfg-options', *options] if options else []


def command_line(arguments: Sequence[str], absolute: bool = False) -> str:
    """Return a command as text to paste into a shell.

    Args:
        arguments: arguments of ``mmaffinity``.
        absolute: use the path of this Python, for scripts that run where ``mmaffinity`` may not be in PATH.
    """
    program = ['mmaffinity'] if not absolute and shutil.which('mmaffinity') else [sys.executable, '-m', 'mmaffinity']
    return shlex.join([*program, *arguments])


def plan_arguments(plan: Plan, out: Path, phantom: bool) -> list[str]:
    """Return the arguments of ``mmaffinity reproduce`` for a plan."""
    where = ['--phantom'] if phantom else [str(plan.root), '--plan', str(plan.path)]
    return ['reproduce', *where, '--out', str(out), *(['--seeds', str(plan.seeds)] if plan.seeds > 1 else [])]
