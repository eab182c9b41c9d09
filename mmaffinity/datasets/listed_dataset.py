"""The common part of data sets that list slices in a file: folds, and handling of unreadable slices."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from torch import Tensor

from mmaffinity.utils.references import refuse_references
from mmaffinity.utils.wording import plural

from .annotation_file import check_annotation_file
from .folds import Folds

POLICIES = ('stop', 'skip')
# If this many slices in a row cannot be read, the cause is a disk, a mount or the config rather than single files.
MAX_IN_A_ROW = 10


class ListedDataset(BaseDataset):
    """Base of data sets that list slices in a file, and either stop at an unreadable slice, or replace it and count it.

    With 'skip', the next readable slice of the same data set replaces it. This preserves the task of the batch, and thus the
    alternation of the stages. The choice depends only on the position in the list, so it is the same with any number of loader
    workers and in repeated and resumed runs.

    Args:
        folds: number of folds for cross-validation by patient; None means all slices. In test mode the data set is fold
            ``fold``, otherwise all other folds; see :class:`~.folds.Folds`.
        fold: the fold to test on, 0 to folds - 1.
        fold_lists: paths of all lists whose patients are split together; None means only this one.
        on_unreadable: 'stop' raises the pipeline's error; 'skip' logs it and continues.
        **kwargs: as for :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: if ``on_unreadable`` is neither, or is 'skip' in test mode, because metrics without some slices are not
            comparable; if the data root is an unresolved reference, or ``fold`` or ``folds`` is out of range.
    """

    list_kind: ClassVar[str]  # content of the list, for errors

    def __init__(
        self,
        *args: Any,
        folds: int | None = None,
        fold: int = 0,
        fold_lists: Sequence[str] | None = None,
        on_unreadable: str = 'stop',
        **kwargs: Any,
    ) -> None:
        if on_unreadable not in POLICIES:
            raise ValueError(f'on_unreadable must be one of {POLICIES}, not {on_unreadable!r}')
        if on_unreadable == 'skip' and kwargs.get('test_mode', False):
            raise ValueError(
                "on_unreadable='skip' is for training only, because test results without some slices are not comparable. "
                'Remove it, or remove the unreadable slices from the test list'
            )
        refuse_references(data_root=kwargs.get('data_root'))
        self._folds = None if folds is None else Folds(folds, fold, fold_lists)
        self.on_unreadable = on_unreadable
        self._skipped: Tensor | None = None
        super().__init__(*args, **kwargs)

    @property
    def source(self) -> str:
        """Name of the slice list in error messages."""
        return self.ann_file

    def check_source(self) -> None:
        """Check that the list exists.

        Raises:
            FileNotFoundError: if it does not.
        """
        check_annotation_file(self.ann_file, self.data_root, self.list_kind)

    def full_init(self) -> None:
        """Load the annotations, and allocate the shared memory in which loader workers mark skipped slices."""
        super().full_init()
        if self.on_unreadable == 'skip' and self._skipped is None:
            self._skipped = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def __getitem__(self, idx: int) -> dict:
        """Return a slice processed by the pipeline.

        Raises:
            FileNotFoundError, ValueError: if it cannot be read; with 'skip', if too many in a row cannot.
        """
        if self.on_unreadable == 'stop':
            return super().__getitem__(idx)
        if not self._fully_initialized:
            self.full_init()
        skipped = self._skipped
        assert skipped is not None
        tries = min(MAX_IN_A_ROW, len(self))
        for place in range(idx, idx + tries):
            place %= len(self)
            try:
                return super().__getitem__(place)
            except (OSError, ValueError) as error:
                if not skipped[place]:
                    print_log(f'slice skipped: {error}', logger='current', level=logging.WARNING)
                skipped[place] = 1
                last = error
        raise ValueError(
            f'{plural(tries, "slice")} in a row could not be read: check the disk, the mount and the config; last error: {last}'
        ) from last

    def skipped(self) -> list[str]:
        """Return the paths of the slices skipped so far by this process and its loader workers."""
        if self._skipped is None:
            return []
        return [str(self.get_data_info(place)['img_path']) for place in self._skipped.nonzero().flatten().tolist()]
