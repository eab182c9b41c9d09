"""Read plan files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmaffinity.utils.config import find_config, load_config
from mmaffinity.utils.option_values import option_text

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
_REFERENCE = re.compile(r'\{([^{}]+)\}')
_FIELDS = ('name', 'config', 'data', 'options', 'tests', 'folds')
RESULTS = 'results'


@dataclass
class Run:
    """A training run of a plan, and its tests.

    Attributes:
        name: unique name, also that of the run's folder.
        config: config to train, by path or name.
        options: overrides of config fields for training and testing.
        starts: overrides for training whose values are checkpoints of other runs: the name of that run by field.
        tests: config to test, by the name of its results file without '.json'.
        seed: seed of the training.
        fold: (fold, number of folds), or None.
        checkpoint: name of the last checkpoint of the training.
    """

    name: str
    config: str
    options: dict[str, Any]
    starts: dict[str, str]
    tests: dict[str, str]
    seed: int
    fold: tuple[int, int] | None
    checkpoint: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the runs that must finish before this one starts."""
        return tuple(dict.fromkeys(self.starts.values()))


@dataclass
class Plan:
    """A study.

    Attributes:
        title: title of its page.
        path: file of the plan.
        root: folder of the data.
        prepare: commands that prepare the data, as arguments of ``mmaffinity``, with the file that each one makes.
        runs: runs, each after those that it needs.
        left_out: reason for each run that cannot start, by its name.
        seeds: number of seeds.
    """

    title: str
    path: Path
    root: Path
    prepare: list[tuple[list[str], Path]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    seeds: int = 1

    def run(self, name: str) -> Run:
        """Return a run by its name."""
        return next(run for run in self.runs if run.name == name)


def read_plan(path: str | Path, root: str | Path, seeds: int = 1) -> Plan:
    """Read a plan file, which is a Python config; docs/reproduce.md describes its fields.

    Args:
        path: the file, or its name among the configs of this package, such as 'plans/paper'.
        root: folder of the data.
        seeds: number of seeds; each run is repeated with the seeds 0 to ``seeds - 1``.

    Returns:
        The plan. Runs without data, and runs that start from them, are in ``left_out``.

    Raises:
        FileNotFoundError: if the file or a config in it does not exist.
        ValueError: if it is not a valid plan, or no run can start.
    """
    if seeds < 1:
        raise ValueError(f'--seeds must be at least 1, not {seeds}')
    file = find_config(path)
    try:
        content = Config.fromfile(file).to_dict()
    except Exception as error:
        raise ValueError(f'{file} cannot be read as a plan: {type(error).__name__}: {error}') from error
    entries, title = content.get('runs'), content.get('title')
    if not isinstance(title, str) or not isinstance(entries, (list, tuple)) or not entries:
        raise ValueError(f'{file} is not a plan: it needs a title, and a list of runs (docs/reproduce.md has an example)')
    plan = Plan(title, file, Path(root), seeds=seeds)
    data = content.get('data') or {}
    draws = content.get('prepare') or []
    plan.prepare = [_command(file, entry, plan.root, plan.root) for entry in draws]
    missing = _find_data(plan, data, bool(draws))
    for number, entry in enumerate(entries):
        _check_entry(file, number, entry, data)
    names = [entry['name'] for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'{file}: two runs are named {twice[0]}')
    known: dict[str, Mapping] = {}
    for entry in entries:
        for name in _references(entry).values():
            if name not in known and name not in plan.left_out:
                near = get_close_matches(name, known, n=1)
                raise ValueError(
                    f'{file}: {entry["name"]} starts from {name}, which is not a run listed above it'
                    + (f'; did you mean {near[0]}?' if near else '')
                )
        lacking = [name for name in _references(entry).values() if name in plan.left_out]
        if entry.get('data') in missing or lacking:
            plan.left_out[entry['name']] = missing.get(entry.get('data')) or f'starts from {lacking[0]}, which is skipped'
            continue
        known[entry['name']] = entry
        for seed in range(seeds):
            for fold in range(entry.get('folds') or 1):
                plan.runs.append(_make_run(plan, entry, known, data, seed, fold))
    if not plan.runs:
        raise ValueError(
            f'no run of {file.name} can start: {"; ".join(sorted(set(plan.left_out.values())))}. Give DATA_ROOT as the folder '
            'above the data sets (docs/data.md lists sources of the public ones), or try --phantom, which needs no data'
        )
    return plan


def _check_entry(file: Path, number: int, entry: Any, data: Mapping) -> None:
    if not isinstance(entry, Mapping) or not {'name', 'config'} <= set(entry):
        raise ValueError(f'{file}: runs[{number}] needs a name and a config, but is {entry!r:.120}')
    unknown = sorted(set(entry) - set(_FIELDS))
    if unknown:
        raise ValueError(f'{file}: {entry["name"]} has the unknown field {unknown[0]}; the fields are {", ".join(_FIELDS)}')
    if not _NAME.fullmatch(str(entry['name'])):
        raise ValueError(
            f'{file}: the name {entry["name"]!r} becomes a folder; use only letters, digits, dots, hyphens and underscores'
        )
    if entry.get('data') is not None and entry['data'] not in data:
        raise ValueError(
            f'{file}: {entry["name"]} uses the data {entry["data"]!r}, but the plan has {", ".join(data) or "none"}'
        )
    folds = entry.get('folds')
    if folds is not None and (not isinstance(folds, int) or folds < 2):
        raise ValueError(f'{file}: {entry["name"]} has folds={folds!r}, which must be a whole number of at least 2')
    tests = entry.get('tests')
    if tests is not None and not (isinstance(tests, Mapping) and all(str(name).startswith(RESULTS) for name in tests)):
        raise ValueError(
            f'{file}: the tests of {entry["name"]} are {tests!r:.120}, but must be a dict of configs by names that start with '
            f'"{RESULTS}"'
        )


def _find_data(plan: Plan, data: Mapping, drawn: bool) -> dict[str, str]:
    """Add the commands that convert raw data, and return the data sets that are missing, with the reason."""
    missing = {}
    for name, entry in data.items():
        folder = plan.root / entry.get('path', name)
        makes = folder / entry['makes'] if entry.get('makes') else None
        if not folder.is_dir() and not drawn:
            missing[name] = f'the folder {folder} of the data set {name} does not exist'
        elif entry.get('prepare'):
            plan.prepare.append(_command(plan.path, dict(entry, command=entry['prepare']), plan.root, folder))
        elif makes is not None and not makes.exists() and not drawn:
            missing[name] = f'the file {makes} of the data set {name} does not exist'
    return missing


def _command(file: Path, entry: Any, root: Path, folder: Path) -> tuple[list[str], Path]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get('command'), str) or not entry.get('makes'):
        raise ValueError(
            f'{file}: a command that prepares data needs "command", and "makes", the file that it writes, but is {entry!r:.120}'
        )
    # Split before inserting folders, whose names may contain spaces.
    words = [word.replace('{root}', str(root)).replace('{path}', str(folder)) for word in entry['command'].split()]
    return words, folder / entry['makes']


def _references(entry: Mapping) -> dict[str, str]:
    """Return the fields whose override is the checkpoint of another run, '{name}', with the name of that run."""
    found = {}
    for key, value in (entry.get('options') or {}).items():
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match:
            found[str(key)] = match[1]
    return found


def _full_name(entry: Mapping, seed: int, fold: int) -> str:
    return entry['name'] + (f'_fold{fold}' if entry.get('folds') else '') + (f'_seed{seed}' if seed else '')


def _make_run(plan: Plan, entry: Mapping, known: Mapping[str, Mapping], data: Mapping, seed: int, fold: int) -> Run:
    references = _references(entry)
    starts = {}
    for key, name in references.items():
        other = known[name]
        if other.get('folds') and other['folds'] != entry.get('folds'):
            raise ValueError(
                f'{plan.path}: {entry["name"]} starts from {name}, which has {other["folds"]} folds: give it the same number, '
                'because otherwise it would start from weights that were trained on its test slices'
            )
        starts[key] = _full_name(other, seed, fold)
    options = {str(key): value for key, value in (entry.get('options') or {}).items() if key not in references}
    if entry.get('data') is not None:
        options['data_root'] = str(plan.root / data[entry['data']].get('path', entry['data']))
    if entry.get('folds'):
        options.update(folds=entry['folds'], fold=fold)
    config = load_config(entry['config'], options)
    tests = {str(name): str(test) for name, test in (entry.get('tests') or {RESULTS: entry['config']}).items()}
    for test in tests.values():
        find_config(test)
    return Run(
        _full_name(entry, seed, fold),
        str(entry['config']),
        options,
        starts,
        tests,
        seed,
        (fold, entry['folds']) if entry.get('folds') else None,
        last_checkpoint(config),
    )


def last_checkpoint(config: Config) -> str:
    """Return the name of the last checkpoint of a training run.

    Raises:
        ValueError: if the config has no training loop.
    """
    loop = config.get('train_cfg') or {}
    if loop.get('max_epochs'):
        return f'epoch_{loop["max_epochs"]}.pth'
    if loop.get('max_iters'):
        return f'iter_{loop["max_iters"]}.pth'
    raise ValueError(f'{config.filename} has no train_cfg with max_epochs or max_iters, so it cannot be a run of a plan')


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Return overrides as ``--cfg-options`` takes them.

    Raises:
        ValueError: if a value cannot be written as text.
    """
    found = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            found += as_arguments({f'{key}.{name}': item for name, item in value.items()})
        else:
            found.append(f'{key}={option_text(value)}')
    return found
