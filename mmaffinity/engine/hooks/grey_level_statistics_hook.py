"""Mean and standard deviation of the grey levels, computed where no file has them."""
import json
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmaffinity.datasets.training_statistics import SLICES_KEY, fingerprint, training_statistics
from mmaffinity.utils.console import NamedProgress
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.wording import plural

FILE = 'statistics.json'


@HOOKS.register_module()
class GreyLevelStatisticsHook(Hook):
    """Give :class:`SliceDataPreprocessor` the mean and std of the training slices, where it does not know them.

    That is so with ``normalization='global'`` when the config's ``statistics`` file does not exist and the checkpoint that
    training starts from brings no values. The main process computes them and keeps them in ``<work_dir>/statistics.json``,
    from where another start of the run in that folder, with the same slices, takes them. Nothing is written to the data root:
    two folds that start at a time would overwrite each other's. Checkpoints carry the values, so that a test computes nothing.

    Where a file that ``mmaffinity statistics`` wrote is of other slices than those trained on, a warning is logged.
    """

    # Before hooks that look at the model's state.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compute what is missing.

        Raises:
            FileNotFoundError: if a training slice is missing.
            ValueError: if one cannot be read, or all have the same grey level.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        preprocessor: Any = getattr(model, 'data_preprocessor', None)
        if not getattr(preprocessor, 'needs_statistics', False):
            if is_main_process() and not runner._resume:
                self._compare(runner, preprocessor)
            return
        message: list[Any] = [None, None]
        if is_main_process():
            try:
                message[0] = self._find(runner, preprocessor.statistics)
            except Exception as error:
                # The others wait for a message, and would do so for minutes.
                broadcast_object_list([None, str(error)])
                raise
        broadcast_object_list(message)
        values, error_text = message
        if error_text is not None:
            raise ValueError(error_text)
        preprocessor.set_statistics(*values)

    def _find(self, runner: Runner, configured: str | None) -> tuple[float, float]:
        """Take the values from the work folder, or compute them."""
        dataset, file = runner.train_dataloader.dataset, Path(runner.work_dir) / FILE
        reason = f'{configured} does not exist' if configured else 'the config names no statistics file'
        kept = _read(file)
        if kept.get(SLICES_KEY) == fingerprint(dataset):
            runner.logger.info(f'{reason}; {_in_words(kept)} were computed before, and are taken from {file}')
            return kept['mean'], kept['std']
        runner.logger.info(f'{reason}; mean and std of the grey levels of the training slices are computed')
        found = training_statistics(dataset, progress=NamedProgress())
        write_json_atomic(file, found)
        replaced = ', and replaces that of other slices' if kept else ''
        runner.logger.info(f'{_in_words(found)}; this is kept in {file} and in every checkpoint{replaced}. To keep it with the '
                           f'data, for other runs: mmaffinity statistics {runner.cfg.filename or "CONFIG"}')
        return found['mean'], found['std']

    def _compare(self, runner: Runner, preprocessor: Any) -> None:
        """Warn of statistics that ``mmaffinity statistics`` computed of other slices than this run trains on."""
        configured = getattr(preprocessor, 'statistics', None)
        used = _read(Path(configured)) if configured and hasattr(preprocessor, 'mean') else {}
        # A checkpoint, or the config itself, may have brought other values.
        if SLICES_KEY not in used or abs(float(preprocessor.mean) - used['mean']) > 1e-6:
            return
        if used[SLICES_KEY] != fingerprint(runner.train_dataloader.dataset):
            runner.logger.warning(
                f'{configured} was computed from other slices ({used.get("source")}) than this run trains on, and is used as '
                f'it is; for those of this run: mmaffinity statistics {runner.cfg.filename or "CONFIG"} --overwrite')


def _read(file: Path) -> dict[str, Any]:
    """The content of a statistics file; empty where it is none."""
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        return dict(content, mean=float(content['mean']), std=float(content['std']))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _in_words(statistics: dict[str, Any]) -> str:
    return (f'mean {statistics["mean"]:.6f} and std {statistics["std"]:.6f} of the grey levels (0 to 1) of '
            f'{plural(statistics["num_slices"], "training slice")} ({statistics["source"]})')
