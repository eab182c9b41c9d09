"""Loading of stored RoIs, in place of a slice's pixels."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.structures import BaseDataElement

from mmaffinity.structures import SliceDataSample

INDEX = 'rois.json'
META_KEYS = ('task', 'img_id', 'img_path', 'patient_id', 'scan_id')


@TRANSFORMS.register_module()
class LoadStoredRoIs(BaseTransform):
    """Load a slice's RoIs from a folder written by ``mmaffinity rois extract``, and pack them as input of RoISliceClassifier.

    Required keys: ``img_path``; optional: ``gt_slice_label`` and the meta information of a :class:`SliceDataset`.

    Args:
        folder: the folder.
        shuffle: shuffle the ranked RoIs of each slice, to measure how much ranking them by score contributes. The order depends
            only on the slice's place in the folder's index. The whole slice, if stored, stays last.
        keep: indices of the RoIs to load, or 'slice' for the whole slice alone, which has no rank weights; None loads all.
        flip_prob: probability of loading the RoIs of the mirror image instead; these must have been stored with ``rois extract
            --flip``.

    Raises:
        ValueError: if ``keep`` is another string, or ``flip_prob`` is not in [0, 1].
    """

    def __init__(
        self, folder: str, shuffle: bool = False, keep: Sequence[int] | str | None = None, flip_prob: float = 0.0
    ) -> None:
        if not 0 <= flip_prob <= 1:
            raise ValueError(f'flip_prob must be in [0, 1], not {flip_prob}')
        if isinstance(keep, str) and keep != 'slice':
            raise ValueError(f"keep must be indices of RoIs or 'slice', not {keep!r}")
        self.folder, self.shuffle, self.keep, self.flip_prob = Path(folder), shuffle, keep, flip_prob
        self.slice_roi = False
        self.rows: dict[str, int] = {}
        self.arrays: dict[str, np.ndarray] = {}

    def _open(self) -> None:
        # Opened at the first slice, so that a config can be read and checked without the folder.
        index = self.folder / INDEX
        if not index.is_file():
            raise FileNotFoundError(f'{index} does not exist: create it with mmaffinity rois extract')
        content = json.loads(index.read_text(encoding='utf-8'))
        self.slice_roi = content.get('slice_roi', False)
        if self.flip_prob and not content.get('flipped'):
            raise ValueError(
                f'{self.folder} does not contain mirror images: run mmaffinity rois extract again with --flip --overwrite, '
                'or set flip_prob=0'
            )
        self.rows = {path: row for row, path in enumerate(content['slices'])}
        self.arrays = {name: np.load(self.folder / f'{name}.npy', mmap_mode='r') for name in content['fields']}

    def transform(self, results: dict) -> dict:
        """Return ``inputs``, the fields of :class:`RankedRoIs` as float32 tensors, and ``data_samples``.

        Raises:
            FileNotFoundError: if the folder contains no stored RoIs.
            ValueError: if it has none for this slice, not those that ``keep`` selects, or no mirror images for ``flip_prob``.
        """
        if not self.rows:
            self._open()
        row = self.rows.get(results['img_path'])
        if row is None:
            raise ValueError(
                f'{self.folder} has no RoIs for {results["img_path"]}: the list or its data root has changed; '
                'run mmaffinity rois extract again'
            )
        order = self._order(row, self.arrays['boxes'].shape[1])
        if self.flip_prob and np.random.rand() < self.flip_prob:
            row += len(self.rows)  # the mirror images follow the slices
        # The whole slice has no rank weights: their rows are fewer, and there are none if nothing else is kept.
        kept = {name: array[row][order[order < array.shape[1]]] for name, array in self.arrays.items()}
        inputs = {name: torch.from_numpy(value.astype(np.float32)) for name, value in kept.items() if len(value)}
        sample = SliceDataSample(metainfo={name: results.get(name) for name in META_KEYS})
        if 'gt_slice_label' in results:
            sample.gt_slice = BaseDataElement(label=torch.tensor([results['gt_slice_label']], dtype=torch.long))
        return dict(inputs=inputs, data_samples=sample)

    def _order(self, row: int, total: int) -> np.ndarray:
        """Return the indices of the RoIs to load, of all ``total``."""
        order = np.arange(total)
        if self.shuffle:
            ranked = total - self.slice_roi
            order[:ranked] = np.random.RandomState(row).permutation(ranked)
        if self.keep is None:
            return order
        if isinstance(self.keep, str):
            if not self.slice_roi:
                raise ValueError(
                    f'{self.folder} does not contain the whole slice: run mmaffinity rois extract with a config whose '
                    'cls_head has slice_roi=True, and set STORED_ROIS to its --out'
                )
            return order[-1:]
        if not all(-total <= index < total for index in self.keep):
            raise ValueError(f'keep={self.keep} selects from more RoIs than the {total} per slice in {self.folder}')
        return order[list(self.keep)]

    def __repr__(self) -> str:
        options = f'shuffle={self.shuffle}, keep={self.keep}, flip_prob={self.flip_prob}'
        return f'{type(self).__name__}(folder={str(self.folder)!r}, {options})'
