"""Transforms that turn a slice on disk or in memory into the model's input tensors."""

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .cropping import CropToBodyBox
from .formatting import PackSliceInputs
from .kernels import RandomKernel
from .loading import LoadCTSlice, LoadCTSliceFromArray
from .stored_rois import LoadStoredRoIs
from .windowing import RandomWindow

__all__ = [
    'CropToBodyBox',
    'LoadCTSlice',
    'LoadCTSliceFromArray',
    'LoadStoredRoIs',
    'PackSliceInputs',
    'RandomKernel',
    'RandomWindow',
]
