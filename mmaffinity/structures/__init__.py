"""Data structures exchanged between models, data sets and metrics."""
from .ranked_rois import RankedRoIs
from .slice_data_sample import CLASSIFICATION, SEGMENTATION, SliceDataSample, batch_task

__all__ = ['CLASSIFICATION', 'SEGMENTATION', 'RankedRoIs', 'SliceDataSample', 'batch_task']
