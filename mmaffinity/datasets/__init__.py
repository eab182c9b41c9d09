"""Data sets, transforms and samplers; importing this package registers them."""

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .lesion_dataset import LesionDataset
from .multi_task_dataset import MultiTaskDataset
from .samplers import AlternatingBatchSampler, AlternatingSampler
from .slice_dataset import SliceDataset
from .slice_folder_dataset import SliceFolderDataset
from .sources import check_sources
from .transforms import CropToBodyBox, LoadCTSlice, LoadCTSliceFromArray, LoadStoredRoIs, PackSliceInputs

__all__ = [
    'AlternatingBatchSampler',
    'AlternatingSampler',
    'CropToBodyBox',
    'LesionDataset',
    'LoadCTSlice',
    'LoadCTSliceFromArray',
    'LoadStoredRoIs',
    'MultiTaskDataset',
    'PackSliceInputs',
    'SliceDataset',
    'SliceFolderDataset',
    'check_sources',
]
