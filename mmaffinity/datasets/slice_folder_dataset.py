"""Labelled slices from one folder per class, for the classification task."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.logging import print_log

from .folder_listing import describe_unused, list_folder, missing_folder
from .folds import Folds
from .patients import check_pattern, patient_in
from .slice_dataset import SliceDataset


@DATASETS.register_module()
class SliceFolderDataset(SliceDataset):
    """Labelled slices from one folder per class, optionally split into folds; no annotation file is needed.

    Images are found by content, in the folders and their subfolders, and sorted by path; :func:`~.folder_listing.list_folder`
    has the rules. Unused files are logged by extension.

    With ``folds``, a slice is assigned to a fold by hashing its patient, or its file name if ``patient_pattern`` is None. The
    assignment does not change when other files are added or removed, and is the same on every machine. Folds are of nearly
    equal size only in large data sets. In test mode the data set is fold ``fold``, otherwise all other folds.

    Sample entries: as for :class:`SliceDataset`; ``img_id`` is the path below ``data_root``.

    Args:
        data_root: folder that contains the class folders.
        slice_classes: names of the folders in the order of the labels, or a mapping from class name to folder.
        patient_pattern: regular expression, searched in the path below ``data_root`` (with forward slashes), whose group named
            ``patient``, or first group, is the patient. Set it if file names encode the patient: slices of one patient in both
            training and test inflate results.
        folds: number of folds; None means all slices.
        fold: the fold to test on, 0 to folds - 1.
        **kwargs: as for :class:`SliceDataset` (``samples_per_class``, ``pipeline``, ``test_mode``, ...).

    Attributes:
        unused: after loading, the unused files by their log message.

    Raises:
        FileNotFoundError: if a folder is missing.
        ValueError: if an argument is invalid, two classes share a folder, a class has no image, a path does not match
            ``patient_pattern``, or no slices remain.
    """

    def __init__(
        self,
        data_root: str,
        slice_classes: Sequence[str] | Mapping[str, str],
        patient_pattern: str | None = None,
        folds: int | None = None,
        fold: int = 0,
        **kwargs: Any,
    ) -> None:
        for name in ('ann_file', 'data_prefix'):
            if name in kwargs:
                raise ValueError(f'SliceFolderDataset takes no {name}, because it lists the folders of data_root: remove it')
        if folds is not None:
            Folds(folds, fold)  # checks them; here, patients are assigned by hashing
        check_pattern('patient_pattern', patient_pattern)
        self.folders: Sequence[str] = tuple(slice_classes.values()) if isinstance(slice_classes, Mapping) else slice_classes
        places = [os.path.normpath(folder) for folder in self.folders]
        if len(set(places)) < len(places):
            raise ValueError(f'two classes share a folder ({", ".join(self.folders)}): give each class its own')
        self.unused: dict[str, list[str]] = {}
        self.patient_pattern = patient_pattern
        self.folds = folds
        self.fold = fold
        names = list(slice_classes) if isinstance(slice_classes, Mapping) else slice_classes
        super().__init__(slice_classes=names, data_root=data_root, **kwargs)

    @property
    def source(self) -> str:
        """Name of the slice list in error messages."""
        if self.folds is None:
            return self.data_root
        return f'{self.data_root} ({"" if self.test_mode else "all but "}fold {self.fold} of {self.folds})'

    def check_source(self) -> None:
        """Check that each class has a folder with at least one image.

        Raises:
            FileNotFoundError: if a folder is missing.
            ValueError: if one contains no image.
        """
        for folder in self.folders:
            if not any(reason is None for _, reason in self._list(folder)):
                self._images_of(folder)  # raises an error that describes the files found

    def check_classes(self) -> None:
        """Do nothing: the classes are those of the config."""

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Convert one row to sample entries; there is no annotation file to name in errors."""
        info = super().parse_data_info(raw_data_info)
        info.update(img_id=raw_data_info['img_path'], row=None)
        return info

    def _read_rows(self) -> list[dict]:
        self.unused = {}
        rows: list[dict[str, Any]] = []
        for label, folder in enumerate(self.folders):
            for path in self._images_of(folder):
                rows.append({'img_path': self._relative(path), 'label': label, 'row': len(rows)})
        if others := self._other_folders():
            self.unused[f'folders of {self.data_root} that are not classes are not used: {", ".join(others)}'] = others
        for message in self.unused:
            print_log(message, logger='current', level=logging.WARNING)
        if self.patient_pattern is not None:
            for row in rows:
                row['patient_id'] = patient_in(row['img_path'], self.patient_pattern, self.data_root)
        if self.folds is not None:
            rows = [row for row in rows if (self._fold_of(row) == self.fold) == bool(self.test_mode)]
        return rows

    def _list(self, folder: str) -> Iterator[tuple[Path, str | None]]:
        root = Path(self.data_root)
        if not (root / folder).is_dir():
            raise FileNotFoundError(
                f'{missing_folder(root / folder)}. Set data_root to the parent of the class folders, and '
                'slice_classes (--classes of mmaffinity convert class-folders) to their names'
            )
        return list_folder(root / folder, [root / other for other in self.folders if other != folder])

    def _images_of(self, folder: str) -> list[Path]:
        """Return the sorted slices of a class, and store its other files."""
        images, others = [], []
        for path, reason in self._list(folder):
            if reason is None:
                images.append(path)
            else:
                others.append((path, reason))
        message = describe_unused(folder, [reason for _, reason in others])
        if not images:
            there = f': {message}' if others else ', nor any other file'
            raise ValueError(
                f'folder {Path(self.data_root, folder)} contains no image (PNG, JPEG, TIFF, BMP, WebP or PGM){there}'
            )
        if others:
            self.unused[message] = [self._relative(path) for path, _ in others]
        return sorted(images, key=lambda path: path.as_posix())

    def _other_folders(self) -> list[str]:
        """Return the folders beside those of the classes."""
        classes = [os.path.abspath(Path(self.data_root, folder)) for folder in self.folders]
        places = {
            name: os.path.abspath(os.path.join(self.data_root, name))
            for name in sorted(os.listdir(self.data_root))
            if not name.startswith('.')
        }
        return [
            name
            for name, place in places.items()
            if os.path.isdir(place)
            and not _holds_lists_only(place)
            and not any(os.path.commonpath([place, folder]) in (place, folder) for folder in classes)
        ]

    def _relative(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.data_root)).as_posix()

    def _fold_of(self, row: dict) -> int:
        key = row.get('patient_id', row['img_path'].rsplit('/', 1)[-1])
        return int.from_bytes(hashlib.sha256(key.encode(errors='surrogateescape')).digest()[:8], 'big') % (self.folds or 1)


def _holds_lists_only(folder: str) -> bool:
    """Return whether a folder contains only JSON files, as ``annotations/`` does."""
    try:
        return all(name.endswith('.json') for name in os.listdir(folder))
    except OSError:
        return False
