"""Read scans (images, DICOM, NIfTI) and write predictions; contains no model code."""

from .discovery import check_inputs, find_scans
from .items import Problem, ReadOptions, Scan, ScanInfo, Slice
from .records import Lesion, SliceRecord, measure
from .sampling import sample_slices
from .summary import ScanSummary
from .windowing import TRAINING_WINDOW, Window

__all__ = [
    'TRAINING_WINDOW',
    'Lesion',
    'Problem',
    'ReadOptions',
    'Scan',
    'ScanInfo',
    'ScanSummary',
    'Slice',
    'SliceRecord',
    'Window',
    'check_inputs',
    'find_scans',
    'measure',
    'sample_slices',
]
