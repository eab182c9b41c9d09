"""Train and test a config with several seeds: a plan with one run per seed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmaffinity.utils.config import load_config

from .plans.folder import PlanFolder
from .plans.local import run_locally
from .plans.plan import RESULTS, Plan, Run, last_checkpoint

MAX_SEED = 2**32 - 1


def train_seeds(
    config: str | Path,
    seeds: Sequence[int],
    work_dir: str | Path | None = None,
    cfg_options: dict | None = None,
    gpus: Sequence[str] = (),
    progress: Callable[[str], None] = lambda message: None,
) -> dict[int, dict[str, Any]]:
    """Train and test a config once per seed, each in its own processes.

    Finished runs are not repeated, and interrupted runs are resumed, so the same call completes an interrupted series or adds
    seeds to it.

    Args:
        config: path of a config with a test data set.
        seeds: distinct numbers from 0 to ``MAX_SEED``.
        work_dir: folder that receives a folder ``seed_<seed>`` for each seed, with checkpoints, ``log.txt`` and
            ``results.json``; by default ``work_dirs/<name of the config>_seeds``.
        cfg_options: overrides of config fields by dotted key.
        gpus: indices of GPUs that each run one training at a time; by default, the trainings run one after another.
        progress: called with a description of the current work.

    Returns:
        Metrics of each seed, in the order of ``seeds``.

    Raises:
        FileNotFoundError: if the config does not exist.
        ValueError: if seeds are invalid, the config has no test data set, the folder contains runs of another config, or runs
            failed, with the reasons; the other runs are finished and kept.
    """
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed <= MAX_SEED for seed in seeds):
        raise ValueError(f'seeds must be distinct numbers from 0 to {MAX_SEED}, not {list(seeds)}')
    options = dict(cfg_options or {})
    cfg = load_config(config, options)
    if cfg.get('test_dataloader') is None:
        raise ValueError(f'{config} has no test_dataloader, so its runs cannot be compared: add a test set to the config')
    name, tests = Path(config).stem, {RESULTS: str(config)}
    plan = Plan(f'{name} with several seeds', Path(cfg.filename), Path(cfg.get('data_root') or '.').expanduser())
    for seed in seeds:
        plan.runs.append(Run(f'seed_{seed}', str(config), options, {}, tests, seed, None, last_checkpoint(cfg)))
    folder = PlanFolder(plan, work_dir or Path('work_dirs') / f'{name}_seeds', runs='')
    folder.claim()
    failed = run_locally(folder, max(1, len(gpus)), progress, gpus or None)
    if failed:
        reasons = '; '.join(f'{name}: {reason}' for name, reason in failed.items())
        raise ValueError(f'{len(failed)} of {len(seeds)} runs failed: {reasons}; the same command resumes them')
    return {
        run.seed: json.loads((folder.of(run.name) / f'{RESULTS}.json').read_text(encoding='utf-8'))['metrics']
        for run in plan.runs
    }


def spread_of_seeds(metrics: dict[int, dict[str, Any]]) -> dict[str, list[float]]:
    """Return each metric's values over the seeds, for metrics that all seeds have."""
    names = [
        name
        for name in next(iter(metrics.values()), {})
        if all(isinstance(found.get(name), (int, float)) for found in metrics.values())
    ]
    return {name: [float(found[name]) for found in metrics.values()] for name in names}
