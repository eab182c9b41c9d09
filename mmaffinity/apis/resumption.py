"""Resume a run, and decide which parts of the current config apply to it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaffinity.checkpoints import load_checkpoint
from mmaffinity.engine import newest_whole_checkpoint
from mmaffinity.utils.config_text import config_differences, read_config_text

# The checkpoint stores the state of these, which fits no other settings, so a change in the config cannot apply.
_STATEFUL = ('optim_wrapper.optimizer', 'optim_wrapper.paramwise_cfg', 'param_scheduler')
_SHOWN = 4  # differences per message
_COMPARED = ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg')
# Locations and reading speed; the content of the data is recorded separately.
_IGNORED = frozenset(
    {
        'init_cfg',
        'data_root',
        'data_prefix',
        'statistics',
        'num_workers',
        'persistent_workers',
        'pin_memory',
        'prefetch_factor',
        *(name.split('.')[-1] for name in _STATEFUL),
    }
)


class ResumeNotesHook(Hook):
    """Log notes on a run right before training, where the user sees them.

    Args:
        notes: notes, such as those from :func:`resume_run`.
    """

    def __init__(self, notes: Sequence[str]) -> None:
        self.notes = notes

    def before_train(self, runner: Runner) -> None:
        """Log the notes, in the main process."""
        for note in self.notes:
            runner.logger.warning(note)


def resume_run(cfg: Config, seed: int | None = None) -> list[str]:
    """Make a config resume from the newest complete checkpoint in its work directory, if there is one.

    The run keeps its seed, optimizer and schedule; other fields take their current values.

    Args:
        cfg: its ``resume``, ``load_from``, ``randomness``, ``optim_wrapper`` and ``param_scheduler`` are changed.
        seed: the seed given by the user, if any.

    Returns:
        Messages: one for each field that does not apply, one on changed fields, one if nothing is left to train, and one for
        each damaged checkpoint.

    Raises:
        ValueError: if there are checkpoints but none is complete, or ``seed`` is not that of the run.
    """
    checkpoint, notes = _find_checkpoint(cfg)
    if checkpoint is None:
        return [f'no checkpoint to resume in {cfg.work_dir}: starting a new run']
    cfg.resume, cfg.load_from = True, str(checkpoint)
    meta = load_checkpoint(checkpoint).get('meta') or {}
    stored = read_config_text(meta.get('cfg')) or {}
    notes += _keep_seed(cfg, checkpoint, meta.get('seed'), seed)
    if stored:
        notes += [*_keep_schedule(cfg, checkpoint, stored), *_changes(cfg, stored)]
    return [*notes, *_end_of_run(cfg, checkpoint, meta)]


def _keep_seed(cfg: Config, checkpoint: Path, stored: int | None, seed: int | None) -> Iterator[str]:
    """Keep the run's original seed, because samplers use it before MMEngine restores it."""
    if stored is None:
        return
    if seed is not None and seed != stored:
        raise ValueError(
            f'--seed {seed} does not match {checkpoint}, which was trained with seed {stored}: omit --seed, or start a new '
            'run in another work directory'
        )
    if cfg.randomness.seed not in (None, stored):
        yield f'the run keeps its original seed, {stored}; the config now has {cfg.randomness.seed}'
    cfg.randomness.seed = stored


def _keep_schedule(cfg: Config, checkpoint: Path, stored: dict[str, Any]) -> Iterator[str]:
    for place in _STATEFUL:
        *outer, name = place.split('.')
        now, before = cfg, stored
        for part in outer:
            now, before = now.get(part) or {}, before.get(part) or {}
        differences = config_differences(before.get(name), now.get(name), place=place)
        if differences:
            yield (
                f'{place} of the config is ignored: a resumed run keeps its own ({_list(differences, "not")}); to change it, '
                f'start a new run from these weights in another work directory: --cfg-options load_from={checkpoint}'
            )
            now[name] = before.get(name)


def _changes(cfg: Config, stored: dict[str, Any]) -> Iterator[str]:
    differences = [
        difference for name in _COMPARED for difference in config_differences(cfg.get(name), stored.get(name), _IGNORED, name)
    ]
    if differences:
        yield f'the config has changed since the run started; training continues with {_list(differences, "was")}'


def _end_of_run(cfg: Config, checkpoint: Path, meta: dict[str, Any]) -> Iterator[str]:
    limits = cfg.get('train_cfg') or {}
    for unit, limit in (('iter', 'max_iters'), ('epoch', 'max_epochs')):
        done, last = meta.get(unit), limits.get(limit)
        if isinstance(done, int) and isinstance(last, int):
            if done >= last:
                yield (
                    f'the run has finished ({checkpoint}, {unit} {done} of {last}): nothing is left to train; to train '
                    f'longer, increase train_cfg.{limit}'
                )
            return


def _list(differences: list[tuple[str, Any, Any]], word: str) -> str:
    texts = [f'{place}={first!r:.60}, {word} {second!r:.60}' for place, first, second in differences]
    rest = f'; and {len(texts) - _SHOWN} more' if len(texts) > _SHOWN else ''
    return '; '.join(texts[:_SHOWN]) + rest


def _find_checkpoint(cfg: Config) -> tuple[Path | None, list[str]]:
    """Return the newest complete checkpoint of a run (None if there is none yet), and messages on damaged newer ones.

    Raises:
        ValueError: if there are checkpoints but none is complete.
    """
    folders = [Path(cfg.work_dir)]
    elsewhere = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('out_dir')
    if elsewhere and '://' not in elsewhere:
        folders.append(Path(elsewhere) / folders[0].name)  # the same path as in MMEngine's hook
    checkpoint, problems = newest_whole_checkpoint(folders)
    weights = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob('*.safetensors'))]
    if checkpoint is None and not problems and weights:
        raise ValueError(
            f'--resume cannot continue from {weights[0]}: .safetensors files contain weights, but no optimizer state and no '
            f'random state. Start a new run from it in another work directory: --cfg-options load_from={weights[0]}'
        )
    if checkpoint is None and problems:
        raise ValueError(
            f'--resume finds no complete checkpoint in {cfg.work_dir}: {"; ".join(problems)}. Restore one, or start a new '
            'run in another work directory'
        )
    return checkpoint, [f'skipped: {problem}' for problem in problems]
