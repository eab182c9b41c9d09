"""Write checkpoints completely or not at all, and never with NaN."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import Tensor

from mmaffinity.utils.files import whole_file


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """A :class:`mmengine.hooks.CheckpointHook` that loses nothing if a run is killed or the disk is full.

    It differs in four ways:

    * a checkpoint is written as ``<name>.part`` and renamed once it is completely on disk;
    * checkpoints made obsolete by ``max_keep_ckpts`` or by a better one are removed after the new one exists, not before;
    * only checkpoints in this run's folder are removed, whatever a resumed checkpoint refers to;
    * a checkpoint with NaN or infinity in its weights or optimizer state is not written.

    The arguments are those of MMEngine's hook.

    Attributes:
        last_whole: path of the last checkpoint that this run has written; None before the first.

    Raises:
        ValueError: while saving, if a weight is NaN or infinite.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.last_whole: str | None = None
        self._superfluous: _LaterRemoval | None = None

    def before_train(self, runner: Runner) -> None:
        """Set up the folder like MMEngine's hook, with deferred removal."""
        self.file_backend: Any
        super().before_train(runner)
        # Other backends, such as object stores, already write atomically.
        backend: Any = getattr(self, 'file_backend', None)
        if isinstance(backend, LocalBackend):
            self._superfluous = _LaterRemoval(Path(self.out_dir))
            self.file_backend = self._superfluous
            self._forget_foreign_best(self._superfluous)

    def _forget_foreign_best(self, ours: '_LaterRemoval') -> None:
        """Forget a best checkpoint outside this run's folder, as after resuming in a copy of another folder."""
        if not ours.owns(getattr(self, 'best_ckpt_path', None) or ''):
            self.best_ckpt_path = None
        paths = getattr(self, 'best_ckpt_path_dict', None) or {}
        for name, path in paths.items():
            if not ours.owns(path or ''):
                paths[name] = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check all values that are about to be saved.

        Raises:
            ValueError: if one is NaN or infinite, with the name of the first such tensor.
        """
        for name, value in _tensors({key: checkpoint.get(key) for key in ('state_dict', 'optimizer')}):
            if value.is_floating_point() and not torch.isfinite(value).all():
                last = f'the last good one is {self.last_whole}' if self.last_whole else 'this run has written none yet'
                raise ValueError(
                    f'no checkpoint was written after iteration {runner.iter}: {name} contains NaN or '
                    f'infinity; {last}. Lower the learning rate (optim_wrapper.optimizer.lr) or clip '
                    'gradients (optim_wrapper.clip_grad), and restart from scratch or from that checkpoint'
                )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        super()._save_checkpoint_with_step(self._aside(runner), step, meta)
        self.last_whole = str(self.last_ckpt)
        self._remove_superfluous()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(self._aside(runner), metrics)
        self._remove_superfluous()

    def _aside(self, runner: Any) -> Any:
        if self._superfluous is None or isinstance(runner, _WritingAside):
            return runner
        return _WritingAside(runner)

    def _remove_superfluous(self) -> None:
        if self._superfluous is not None:
            self._superfluous.catch_up()


class _WritingAside:
    """Proxy of a runner whose :meth:`save_checkpoint` writes to a temporary file and renames it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        if not is_main_process():  # runs the hooks, but writes nothing
            self._runner.save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with whole_file(Path(out_dir, filename)) as file:
            self._runner.save_checkpoint(out_dir, Path(file.name).name, *args, **kwargs)
        _sync(Path(out_dir))  # or a power cut could undo the rename after the older checkpoint was removed


class _LaterRemoval(LocalBackend):
    """A file backend that removes only checkpoints of one folder, and only on :meth:`catch_up`.

    The old checkpoint thus survives a failed write.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder.resolve()
        self._due: list[Path] = []

    def owns(self, filepath: str | Path) -> bool:
        """Return whether a path is a checkpoint in the folder."""
        path = Path(filepath)
        return path.suffix == '.pth' and path.parent.resolve() == self._folder

    def remove(self, filepath: str | Path) -> None:
        if self.owns(filepath):
            self._due.append(Path(filepath))

    def rmtree(self, dir_path: str | Path) -> None:
        """Do nothing: checkpoints are files."""

    def catch_up(self) -> None:
        while self._due:
            self._due.pop().unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tensors(value: Any, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested dicts and lists, each with its dotted name."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (dict, list, tuple)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(part, f'{name}.{key}' if name else str(key))
