"""What of a config applies to a run that is resumed."""
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmaffinity.engine import newest_whole_checkpoint
from mmaffinity.utils.checkpoint import load_checkpoint
from mmaffinity.utils.config_text import config_differences, read_config_text

# The checkpoint holds the state of these, which fits nothing else: what the config says now cannot apply.
_STATEFUL = {'optim_wrapper.optimizer': 'optimizer', 'optim_wrapper.paramwise_cfg': 'factors of the optimizer',
             'param_scheduler': 'schedule of the learning rate'}
_COMPARED = ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg')
# Where things are, and how fast they are read; what is in the data is recorded apart.
_IGNORED = frozenset({'init_cfg', 'data_root', 'data_prefix', 'statistics', 'num_workers', 'persistent_workers', 'pin_memory',
                      'prefetch_factor', *(name.split('.')[-1] for name in _STATEFUL)})


def resume_run(cfg: Config, seed: int | None = None) -> None:
    """Let a config continue from the newest whole checkpoint in its work folder, if there is one.

    Seed, optimizer and schedule stay those of the run; one line each says so where the config has others. Other fields apply
    as they are now, which one line says too. So does one line for a run that is finished.

    Args:
        cfg: its ``resume``, ``load_from``, ``randomness``, ``optim_wrapper`` and ``param_scheduler`` are changed.
        seed: the seed that the user asked for, if any.

    Raises:
        ValueError: if there are checkpoints, but none is whole; or ``seed`` is not that of the run.
    """
    checkpoint = _find_checkpoint(cfg)
    if checkpoint is None:
        _say(f'no checkpoint in {cfg.work_dir} yet: a new run starts')
        return
    cfg.resume, cfg.load_from = True, str(checkpoint)
    meta = load_checkpoint(checkpoint).get('meta') or {}
    _keep_seed(cfg, checkpoint, meta.get('seed'), seed)
    stored = read_config_text(meta.get('cfg'))
    if stored is not None:
        _keep_schedule(cfg, checkpoint, stored)
        _tell_changes(cfg, stored)
    _tell_if_finished(cfg, checkpoint, meta)


def _keep_seed(cfg: Config, checkpoint: Path, stored: int | None, seed: int | None) -> None:
    """Keep the seed that the run was started with: samplers take it before MMEngine restores it."""
    if stored is None:
        return
    if seed is not None and seed != stored:
        raise ValueError(f'--seed {seed} does not fit {checkpoint}, which was trained with seed {stored}: leave --seed out, or '
                         'start a new run in another work folder')
    if cfg.randomness.seed not in (None, stored):
        _say(f'the seed is {stored}, with which the run was started, not {cfg.randomness.seed} as in the config')
    cfg.randomness.seed = stored


def _keep_schedule(cfg: Config, checkpoint: Path, stored: dict[str, Any]) -> None:
    for place, noun in _STATEFUL.items():
        *outer, name = place.split('.')
        now, before = cfg, stored
        for part in outer:
            now, before = now.get(part) or {}, before.get(part) or {}
        differences = config_differences(before.get(name), now.get(name), place=place)
        if differences:
            _say(f'the {noun} stays that of the resumed run, not that of the config ({_list(differences, "not")}); for another, '
                 f'start a new run from its weights in another work folder: --cfg-options load_from={checkpoint}')
            now[name] = before.get(name)


def _tell_changes(cfg: Config, stored: dict[str, Any]) -> None:
    differences = [difference for name in _COMPARED
                   for difference in config_differences(cfg.get(name), stored.get(name), _IGNORED, name)]
    if differences:
        _say(f'the config is not that of the run so far; from here on it has {_list(differences, "was")}')


def _tell_if_finished(cfg: Config, checkpoint: Path, meta: dict[str, Any]) -> None:
    limits = cfg.get('train_cfg') or {}
    for unit, limit in (('iter', 'max_iters'), ('epoch', 'max_epochs')):
        done, last = meta.get(unit), limits.get(limit)
        if isinstance(done, int) and isinstance(last, int):
            if done >= last:
                _say(f'{checkpoint} ends a finished run, {unit} {done} of {last}: nothing is left to train. To train longer, '
                     f'raise train_cfg.{limit}')
            return


def _list(differences: list[tuple[str, Any, Any]], word: str, shown: int = 4) -> str:
    texts = [f'{place}={first!r:.60}, {word} {second!r:.60}' for place, first, second in differences]
    rest = f'; and {len(texts) - shown} more' if len(texts) > shown else ''
    return '; '.join(texts[:shown]) + rest


def _say(message: str) -> None:
    if os.environ.get('RANK', '0') == '0':  # the processes have not joined yet
        print_log(message, logger='current')


def _find_checkpoint(cfg: Config) -> Path | None:
    """Return the newest whole checkpoint of a run, or None for a run that has not written any yet.

    Raises:
        ValueError: if there are checkpoints, but none is whole.
    """
    folders = [Path(cfg.work_dir)]
    elsewhere = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('out_dir')
    if elsewhere and '://' not in elsewhere:
        folders.append(Path(elsewhere) / folders[0].name)  # as MMEngine's hook puts it together
    checkpoint, problems = newest_whole_checkpoint(folders)
    weights = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob('*.safetensors'))]
    if checkpoint is None and not problems and weights:
        raise ValueError(f'--resume cannot continue from {weights[0]}: .safetensors holds weights, but no optimizer and no random '
                         f'states. Start a new run from it, in another work folder: --cfg-options load_from={weights[0]}')
    if checkpoint is None and problems:
        raise ValueError(f'--resume finds no whole checkpoint in {cfg.work_dir}: {"; ".join(problems)}. Copy one there again, '
                         'or start a new run in another work folder')
    for problem in problems:
        _say(f'passed over: {problem}')
    return checkpoint
