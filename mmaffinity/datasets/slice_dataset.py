"""Labelled slices from a list, for the classification task."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import DATASETS

from mmaffinity.structures import CLASSIFICATION
from mmaffinity.utils.references import refuse_references
from mmaffinity.utils.wording import plural

from .annotation_file import SLICES, image_prefix, load_annotation_file, portable_name
from .listed_dataset import ListedDataset


@DATASETS.register_module()
class SliceDataset(ListedDataset):
    """A list of labelled slices.

    The annotation file is JSON::

        {"metainfo": {"slice_classes": ["Normal", "CP", "COVID-19"]},
         "data_list": [{"img_path": "Normal/12/0001.png", "label": 0, "patient_id": "12", "scan_id": null}, ...]}

    A row may have a ``"body_box"``, [xmin, ymin, xmax, ymax]: the pixels that show the body, maxima exclusive. Other keys, such
    as ``"source"``, are informational.

    Sample entries: ``img_path``, ``img_id`` (index in the file, also in a subset), ``task`` ('classification'),
    ``gt_slice_label``, ``patient_id`` and ``scan_id`` (None if unknown); for error messages, ``ann_file`` and ``row``; and
    ``body_box`` if the row has one.

    Args:
        ann_file: the list, relative to ``data_root``.
        slice_classes: names of the classes by label. None takes those of the file; if both are given, they must be equal.
        samples_per_class: number of slices to draw from each class without replacement. None means all.
        seed: seed of that draw; the same seed and file give the same slices, in the file's order.
        data_prefix: ``img``: folder to which the file's image names are relative, itself relative to ``data_root``.
        metainfo: meta information, see :class:`mmengine.dataset.BaseDataset`.
        **kwargs: as for :class:`mmengine.dataset.BaseDataset`, and ``folds``, ``fold``, ``fold_lists`` and ``on_unreadable``
            of :class:`ListedDataset`.

    Raises:
        FileNotFoundError: if the annotation file is missing.
        ValueError: if it is invalid, a label is out of range, the classes differ, or a class has too few slices.
    """

    task = CLASSIFICATION
    list_kind = SLICES

    def __init__(
        self,
        ann_file: str = '',
        slice_classes: Sequence[str] | None = None,
        samples_per_class: int | None = None,
        seed: int = 0,
        data_prefix: dict = dict(img=''),  # noqa: B006, as in BaseDataset, which copies it
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if samples_per_class is not None and samples_per_class < 1:
            raise ValueError(f'samples_per_class={samples_per_class} must be positive, or None for all slices')
        refuse_references(slice_classes=slice_classes)
        metainfo = dict(metainfo or {})
        if slice_classes is not None:
            metainfo['slice_classes'] = slice_classes
        if 'slice_classes' in metainfo:
            metainfo['slice_classes'] = _check_classes(metainfo['slice_classes'], 'slice_classes')
        self.samples_per_class = samples_per_class
        self.seed = seed
        data_prefix = image_prefix(data_prefix, 'img_path')
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, metainfo=metainfo, **kwargs)

    def check_classes(self) -> None:
        """Read the classes from the list, and check that they match the config.

        Raises:
            ValueError: if they do not, or the file is not a slice list.
        """
        self._read_rows()

    def load_data_list(self) -> list[dict]:
        """Read the list, check every row, and draw the subset."""
        data_list = [self.parse_data_info(row) for row in self._read_rows()]
        if not data_list:
            raise ValueError(f'{self.source} lists no slices: check the list or folders')
        if self._folds:
            data_list = self._folds.select(data_list, self.ann_file, bool(self.test_mode))
        if self.samples_per_class is not None:
            data_list = self._draw(data_list)
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict[str, Any]:
        """Check one row, whose index is in ``row``, and convert it to sample entries."""
        row = raw_data_info['row']
        if not isinstance(raw_data_info.get('img_path'), str) or 'label' not in raw_data_info:
            raise ValueError(f'row {row} of {self.source} must have an "img_path" and a "label"')
        for key in ('patient_id', 'scan_id'):
            if type(raw_data_info.get(key)) not in (str, int, type(None)):
                raise ValueError(
                    f'row {row} of {self.source} has the {key} {raw_data_info[key]!r}, which must be a string, an '
                    'integer, or null if it is unknown'
                )
        label, classes = raw_data_info['label'], self._metainfo['slice_classes']
        if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < len(classes):
            raise ValueError(
                f'row {row} of {self.source} has the label {label!r}, but labels are 0 to '
                f'{len(classes) - 1}: {", ".join(classes)}'
            )
        prefix = self.data_prefix['img_path']
        try:
            name = portable_name(raw_data_info['img_path'], prefix)
        except ValueError as error:
            raise ValueError(f'row {row} of {self.source} {error}') from error
        info = dict(
            img_path=osp.join(prefix, name),
            img_id=row,
            task=self.task,
            gt_slice_label=label,
            patient_id=raw_data_info.get('patient_id'),
            scan_id=raw_data_info.get('scan_id'),
            ann_file=self.ann_file or None,
            row=row,
        )
        if raw_data_info.get('body_box') is not None:
            info['body_box'] = self._check_body_box(raw_data_info['body_box'], row)
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of a slice as a list, as required by MMDetection's class-balancing wrapper."""
        return [self.get_data_info(idx)['gt_slice_label']]

    def _read_rows(self) -> list[dict]:
        content = load_annotation_file(self.ann_file, self.data_root, SLICES)
        rows = content.get('data_list')
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f'{self.ann_file} has no list "data_list" of objects: it is not a slice list')
        metainfo = content.get('metainfo') or {}
        if not isinstance(metainfo, dict):
            raise ValueError(
                f'"metainfo" of {self.ann_file} is {type(metainfo).__name__}, but must be an object with '
                '"slice_classes", or be omitted'
            )
        metainfo = dict(metainfo)
        if 'slice_classes' in metainfo:
            metainfo['slice_classes'] = _check_classes(metainfo['slice_classes'], f'metainfo of {self.ann_file}')
        for key, value in metainfo.items():
            self._metainfo.setdefault(key, value)
        configured = self._metainfo.get('slice_classes')
        if configured is None:
            raise ValueError(
                f'{self.ann_file} does not name its classes: add "slice_classes" to its "metainfo", or '
                'set slice_classes in the config'
            )
        if metainfo.get('slice_classes', configured) != configured:
            raise ValueError(
                f'{self.ann_file} has the slice classes {metainfo["slice_classes"]}, but the config has '
                f"{configured}, so labels would be misread: use the file's classes, in its order"
            )
        return [{**row, 'row': index} for index, row in enumerate(rows)]

    def _check_body_box(self, box: Any, row: int) -> tuple[int, ...]:
        if isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box):
            xmin, ymin, xmax, ymax = box
            if 0 <= xmin < xmax and 0 <= ymin < ymax:
                return tuple(box)
        raise ValueError(
            f'row {row} of {self.source} has the body_box {box!r}, which must be [xmin, ymin, xmax, ymax] in whole '
            'pixels, with 0 <= xmin < xmax and 0 <= ymin < ymax, or null if it is unknown'
        )

    def _draw(self, data_list: list[dict]) -> list[dict]:
        labels = np.array([info['gt_slice_label'] for info in data_list])
        # RandomState rather than Generator: NumPy guarantees that its stream never changes, so a seed identifies a subset.
        random = np.random.RandomState(self.seed)
        chosen: list[int] = []
        for label, name in enumerate(self._metainfo['slice_classes']):
            members = np.flatnonzero(labels == label)
            if len(members) < (self.samples_per_class or 0):
                raise ValueError(
                    f'samples_per_class={self.samples_per_class}, but {self.source} has only '
                    f'{plural(len(members), "slice")} of class {name}: use a smaller number'
                )
            chosen.extend(random.permutation(members)[: self.samples_per_class])
        return [data_list[index] for index in sorted(chosen)]


def _check_classes(classes: Any, where: str) -> tuple[str, ...]:
    if (
        isinstance(classes, str)
        or not isinstance(classes, Sequence)
        or not classes
        or not all(isinstance(name, str) for name in classes)
        or len(set(classes)) != len(classes)
    ):
        raise ValueError(f'{where}: slice classes must be a list of distinct names, not {classes!r}')
    return tuple(classes)
