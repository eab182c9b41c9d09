"""Data sets, transforms and samplers, each imported on first use; :mod:`mmaffinity.registration` registers them."""

from typing import TYPE_CHECKING

from mmaffinity.utils.lazy import lazy_names

if TYPE_CHECKING:
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

# Converting downloads and drawing the phantom require neither torch nor MMDetection.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        'AlternatingBatchSampler': 'samplers',
        'AlternatingSampler': 'samplers',
        'CropToBodyBox': 'transforms',
        'LesionDataset': 'lesion_dataset',
        'LoadCTSlice': 'transforms',
        'LoadCTSliceFromArray': 'transforms',
        'LoadStoredRoIs': 'transforms',
        'MultiTaskDataset': 'multi_task_dataset',
        'PackSliceInputs': 'transforms',
        'SliceDataset': 'slice_dataset',
        'SliceFolderDataset': 'slice_folder_dataset',
        'check_sources': 'sources',
    },
)
