"""Provide the mean and standard deviation of the grey levels, computed if no file contains them."""

from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmaffinity.datasets.training_statistics import (
    SLICES_KEY,
    read_statistics,
    slices_fingerprint,
    statistics_file,
    training_statistics,
)
from mmaffinity.utils.config import config_argument
from mmaffinity.utils.console import NamedProgress
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.wording import plural

FILE = 'statistics.json'


@HOOKS.register_module()
class GreyLevelStatisticsHook(Hook):
    """Set the mean and std of the training slices in :class:`SliceDataPreprocessor` if it has none.

    This applies to ``normalization='global'`` if neither the config nor the initial checkpoint contains the values. The main
    process reads them from the config's ``statistics`` file, below the data root of the training slices. If that file does not
    exist, the values are computed and stored in ``<work_dir>/statistics.json``, which a restart in that folder with the same
    slices reuses. Nothing is written to the data root, where two folds started at the same time would overwrite each other's
    values. Checkpoints contain the values, so testing computes nothing.

    A warning is logged if ``mmaffinity statistics`` computed the file from slices other than the training slices.
    """

    # Runs before hooks that read the model's state.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Set the values if they are missing.

        Raises:
            FileNotFoundError: if a training slice is missing.
            ValueError: if one cannot be read, or all have the same grey level.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        preprocessor: Any = getattr(model, 'data_preprocessor', None)
        if not getattr(preprocessor, 'needs_statistics', False):
            configured = getattr(preprocessor, 'statistics', None)
            if configured and hasattr(preprocessor, 'mean') and is_main_process() and not runner._resume:
                file = statistics_file(runner.train_dataloader.dataset, configured)
                self._compare(runner, file, float(preprocessor.mean))
            return
        message: list[Any] = [None, None]
        if is_main_process():
            try:
                message[0] = self._find(runner, preprocessor)
            except Exception as error:
                # Unblock the other processes, which would otherwise wait for this result for minutes.
                broadcast_object_list([None, str(error)])
                raise
        broadcast_object_list(message)
        values, error_text = message
        if error_text is not None:
            raise ValueError(error_text)
        preprocessor.set_statistics(*values)

    def _find(self, runner: Runner, preprocessor: Any) -> tuple[float, float]:
        """Read the values from the configured file or the work directory, or else compute them."""
        dataset, file = runner.train_dataloader.dataset, Path(runner.work_dir) / FILE
        configured = statistics_file(dataset, preprocessor.statistics) if preprocessor.statistics else None
        if configured is not None and configured.exists():
            values = preprocessor.read_statistics(configured)
            self._compare(runner, configured, values[0])
            return values
        reason = f'{configured} does not exist' if configured else 'the config sets no statistics file'
        kept = read_statistics(file)
        if kept.get(SLICES_KEY) == slices_fingerprint(dataset):
            runner.logger.info(f'{reason}; using {_in_words(kept)}, computed earlier and stored in {file}')
            return kept['mean'], kept['std']
        runner.logger.info(f'{reason}; computing mean and std of the grey levels of the training slices')
        found = training_statistics(dataset, progress=NamedProgress())
        write_json_atomic(file, found)
        replaced = ', replacing those of other slices' if kept else ''
        runner.logger.info(
            f'{_in_words(found)}; stored in {file} and in every checkpoint{replaced}. To store them with the '
            f'data for other runs: mmaffinity statistics {config_argument(runner.cfg)}'
        )
        return found['mean'], found['std']

    def _compare(self, runner: Runner, file: Path, mean: float) -> None:
        """Warn if ``mmaffinity statistics`` computed the values from slices other than this run's."""
        used = read_statistics(file)
        # The values may have come from a checkpoint or the config instead.
        if SLICES_KEY not in used or abs(mean - used['mean']) > 1e-6:
            return
        if used[SLICES_KEY] != slices_fingerprint(runner.train_dataloader.dataset):
            runner.logger.warning(
                f'{file} was computed from other slices ({used.get("source")}) than those of this run, and is used '
                f'unchanged; to recompute it: mmaffinity statistics {config_argument(runner.cfg)} --overwrite'
            )


def _in_words(statistics: dict[str, Any]) -> str:
    return (
        f'mean {statistics["mean"]:.6f} and std {statistics["std"]:.6f} of the grey levels (0 to 1) of '
        f'{plural(statistics["num_slices"], "training slice")} ({statistics["source"]})'
    )
