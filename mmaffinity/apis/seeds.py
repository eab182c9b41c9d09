"""Training and testing a config with several seeds."""

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mmengine.config import Config

from mmaffinity.utils.config import load_config
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.provenance import config_hash

RECORD = 'seeds.json'
MANY = 2**32  # exclusive upper bound of seeds


def train_seeds(
    config: str | Path,
    seeds: Sequence[int],
    work_dir: str | Path | None = None,
    cfg_options: dict | None = None,
    devices: Sequence[str] = ('',),
    progress: Callable[[str], None] = lambda message: None,
) -> dict[int, dict[str, Any]]:
    """Train and test a config once per seed, each in its own process.

    Finished runs are not repeated and interrupted ones are resumed, so the same call completes an interrupted series or extends
    it by more seeds.

    Args:
        config: path of a config with a test data set.
        seeds: different numbers, at least 0.
        work_dir: folder that receives a folder ``seed_<seed>`` for each seed, with checkpoints and ``results.json``; by default
            ``work_dirs/<config's name>_seeds``.
        cfg_options: overrides of config fields by dotted key.
        devices: devices that each run one training at a time: an index for CUDA_VISIBLE_DEVICES, or '' for no restriction.
        progress: called with a description of the current work.

    Returns:
        Metrics of each seed, in the order of ``seeds``.

    Raises:
        FileNotFoundError: if the config does not exist.
        ValueError: if seeds are not distinct numbers, the folder contains runs of another config, or runs failed, with their
            seeds; the other runs are finished and kept.
    """
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < MANY for seed in seeds):
        raise ValueError(f'seeds must be different numbers from 0 to 2^32 - 1, not {list(seeds)}')
    if not devices:
        raise ValueError('devices is empty; name at least one')
    cfg = load_config(config, cfg_options)
    if cfg.get('test_dataloader') is None:
        raise ValueError(f'{config} has no test_dataloader, so its runs could not be compared')
    root = Path(work_dir or Path('work_dirs') / f'{Path(config).stem}_seeds')
    _check_root(root, cfg)
    free: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        free.put(device)

    def one(seed: int) -> str | None:
        folder, device = root / f'seed_{seed}', free.get()
        try:
            if results_of_seed(folder, cfg) is not None:
                progress(f'seed {seed}: finished before')
                return None
            progress(f'seed {seed}: training in {folder}' + (f' on GPU {device}' if device else ''))
            # A fresh interpreter, without the state of another run and with its own GPU.
            process = multiprocessing.get_context('spawn').Process(target=_run, args=(cfg, seed, folder, device))
            process.start()
            process.join()
            if process.exitcode == 0 and results_of_seed(folder, cfg) is not None:
                progress(f'seed {seed}: finished')
                return None
            return f'seed {seed} (exit code {process.exitcode}, {folder})'
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        failed = [failure for failure in pool.map(one, seeds) if failure]
    if failed:
        raise ValueError(
            f'{len(failed)} of {len(seeds)} runs failed: {", ".join(failed)}; their output is above, and the same '
            'command resumes them'
        )
    return {seed: results_of_seed(root / f'seed_{seed}', cfg) or {} for seed in seeds}


def results_of_seed(folder: Path, cfg: Config) -> dict[str, Any] | None:
    """Return the metrics of a finished run of a config, or None."""
    try:
        content = json.loads((folder / 'results.json').read_text())
        return content['metrics'] if content['config_sha256'] == config_hash(cfg) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_root(root: Path, cfg: Config) -> None:
    """Restrict a folder to runs of one config; runs of another would be resumed with the wrong settings."""
    digest, path = config_hash(cfg), root / RECORD
    if path.is_file():
        try:
            known = json.loads(path.read_text())['config_sha256']
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{path} is damaged ({error}); remove it if the runs beside it are of this config') from error
        if known != digest:
            raise ValueError(
                f'{root} holds runs of another config, or of this one before it changed; choose another work folder'
            )
        return
    write_json_atomic(path, dict(config=str(cfg.filename), config_sha256=digest))


def _run(cfg: Config, seed: int, folder: Path, device: str) -> None:
    if device:
        os.environ['CUDA_VISIBLE_DEVICES'] = device
    from mmaffinity.utils.cli import run_tool

    from .testing import test_model
    from .training import train_model

    def job() -> None:
        train_model(cfg, work_dir=folder, resume=True, seed=seed)
        checkpoint = (folder / 'last_checkpoint').read_text().strip()
        test_model(cfg, checkpoint, work_dir=folder, out=folder / 'results.json')

    run_tool(job)


def spread_of_seeds(metrics: dict[int, dict[str, Any]]) -> dict[str, list[float]]:
    """Return the values of each metric over the seeds, for metrics that all of them have."""
    names = [
        name
        for name in next(iter(metrics.values()), {})
        if all(isinstance(found.get(name), (int, float)) for found in metrics.values())
    ]
    return {name: [float(found[name]) for found in metrics.values()] for name in names}
