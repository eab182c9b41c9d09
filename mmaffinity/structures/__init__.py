"""Data structures passed between models, data sets and metrics."""

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .ranked_rois import RankedRoIs
from .slice_data_sample import CLASSIFICATION, SEGMENTATION, SliceDataSample, batch_task

__all__ = ['CLASSIFICATION', 'SEGMENTATION', 'RankedRoIs', 'SliceDataSample', 'batch_task']
