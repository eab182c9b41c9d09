"""From raw downloads and published lists to COCO JSON and slice lists."""

from ..grey_levels import grey_level_statistics
from ..label_masks import read_lesion_mask
from .class_folders import ClassOptions, convert_class_folders
from .cncb_ncov import CncbLists, convert_cncb_ncov, draw_balanced_sample
from .coco import LesionFile, annotate_mask, build_coco, lesion_components
from .covid_ct_md import CtMdOptions, convert_covid_ct_md
from .covidx_ct import convert_covidx_ct
from .covidx_lists import CovidxSlice, parse_covidx_ct_list, read_name
from .ictcf import convert_ictcf
from .image_pairs import convert_image_pairs
from .lesion_lists import LesionOptions
from .lists import (
    CNCB_CLASSES,
    ICTCF_CLASSES,
    CncbSlice,
    IctcfSlice,
    LesionSlice,
    parse_covidx_list,
    parse_ictcf_list,
    parse_published_list,
    parse_segmentation_list,
)
from .nifti_pairs import PairOptions, convert_nifti_pairs
from .patient_table import PatientTable
from .splits import SplitOptions
from .summary import ConversionSummary
from .units import UnitOptions

__all__ = [
    'CNCB_CLASSES',
    'ClassOptions',
    'CncbLists',
    'CncbSlice',
    'ConversionSummary',
    'CovidxSlice',
    'CtMdOptions',
    'ICTCF_CLASSES',
    'IctcfSlice',
    'LesionFile',
    'LesionOptions',
    'LesionSlice',
    'PairOptions',
    'PatientTable',
    'SplitOptions',
    'UnitOptions',
    'annotate_mask',
    'build_coco',
    'convert_class_folders',
    'convert_cncb_ncov',
    'convert_covid_ct_md',
    'convert_covidx_ct',
    'convert_ictcf',
    'convert_image_pairs',
    'convert_nifti_pairs',
    'draw_balanced_sample',
    'grey_level_statistics',
    'lesion_components',
    'parse_covidx_ct_list',
    'parse_covidx_list',
    'parse_ictcf_list',
    'parse_published_list',
    'parse_segmentation_list',
    'read_lesion_mask',
    'read_name',
]
