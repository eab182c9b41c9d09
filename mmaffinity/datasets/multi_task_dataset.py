"""Concatenation of data sets of both tasks."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset, ConcatDataset, force_full_init

from mmaffinity.structures import CLASSIFICATION, SEGMENTATION


@DATASETS.register_module()
class MultiTaskDataset(ConcatDataset):
    """Concatenation of lesion and slice data sets, for training with :class:`AlternatingSampler` and for evaluation.

    Unlike in MMEngine's class, parts with different tasks may have different meta information. :attr:`metainfo` is the union,
    with both ``classes`` (of lesions) and ``slice_classes``.

    Args:
        datasets: data sets or their configs, each with a ``task``.
        lazy_init: postpone loading the annotations.
        ignore_keys: keys of the meta information that may differ between parts of one task; the first part's value is used.

    Raises:
        ValueError: if a part has no task, or parts of one task differ in their meta information.
    """

    def __init__(
        self, datasets: Sequence[BaseDataset | dict], lazy_init: bool = False, ignore_keys: str | Sequence[str] | None = None
    ) -> None:
        # The parent's __init__ requires equal meta information, so it is not called; full_init calls torch's.
        if not datasets:
            raise ValueError('MultiTaskDataset needs at least one data set')
        self.datasets = [DATASETS.build(part) if isinstance(part, dict) else part for part in datasets]
        for part in self.datasets:
            if getattr(part, 'task', None) not in (SEGMENTATION, CLASSIFICATION):
                raise ValueError(
                    f'{type(part).__name__} cannot be part of MultiTaskDataset, because it has no task '
                    f'({SEGMENTATION!r} or {CLASSIFICATION!r}): use LesionDataset or SliceDataset'
                )
        self.ignore_keys = [ignore_keys] if isinstance(ignore_keys, str) else list(ignore_keys or ())
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict[str, Any]:
        """Union of the parts' meta information; across tasks, the value of a key comes from the first part that has it.

        Raises:
            ValueError: if parts of the same task differ in a key that ``ignore_keys`` does not name.
        """
        union: dict[str, Any] = {}
        by_task: dict[str, dict] = defaultdict(dict)
        for index, part in enumerate(self.datasets):
            for key, value in part.metainfo.items():
                first, known = by_task[part.task].setdefault(key, (index, value))
                if key not in self.ignore_keys and not _equal(known, value):
                    raise ValueError(
                        f'data sets {first} and {index} of the {part.task} task differ in "{key}": '
                        f'{known!r} and {value!r}. Make them equal, or name the key in ignore_keys'
                    )
                union.setdefault(key, value)
        return union

    @property
    def task(self) -> str | None:
        """The task of all parts, or None if there are both."""
        tasks = {part.task for part in self.datasets}
        return tasks.pop() if len(tasks) == 1 else None

    def full_init(self) -> None:
        """Load the annotations of every part and check that they are consistent."""
        if not self._fully_initialized:
            super().full_init()
            _ = self.metainfo  # raises if parts differ, which may only be known once they are loaded

    @force_full_init
    def task_indices(self, task: str) -> np.ndarray:
        """Return the indices of all samples of a task, shape (n,), int64; empty if it has none."""
        tasks = np.repeat([part.task for part in self.datasets], [len(part) for part in self.datasets])
        return np.flatnonzero(tasks == task)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return a == b
