"""MMEngine's loops with support for references to top-level fields (see :mod:`mmaffinity.utils.references`)."""

import copy
from typing import Any

from mmdet.registry import LOOPS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner, TestLoop, ValLoop

from mmaffinity.utils.references import resolve_dataloaders


class _ResolvesReferences(BaseLoop):
    """Mixin that resolves references in the dataloader before its data set is built."""

    loader: str

    def __init__(self, runner: Runner, dataloader: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(dataloader, dict):
            config = copy.deepcopy(runner.cfg)
            config[self.loader] = dataloader
            resolve_dataloaders(config)
            dataloader = config[self.loader]
        super().__init__(runner, dataloader, *args, **kwargs)


@LOOPS.register_module()
class SliceTrainLoop(_ResolvesReferences, EpochBasedTrainLoop):
    """:class:`mmengine.runner.EpochBasedTrainLoop` that resolves references such as ``data_root='${data_root}'``."""

    loader = 'train_dataloader'

    def __init__(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.cfg.get('folds') is not None:
            runner._val_loop = None  # cross-validation has no validation set, see load_config
        super().__init__(runner, *args, **kwargs)


@LOOPS.register_module()
class SliceValLoop(_ResolvesReferences, ValLoop):
    """:class:`mmengine.runner.ValLoop` that resolves references."""

    loader = 'val_dataloader'


@LOOPS.register_module()
class SliceTestLoop(_ResolvesReferences, TestLoop):
    """:class:`mmengine.runner.TestLoop` that resolves references."""

    loader = 'test_dataloader'
