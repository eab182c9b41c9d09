"""From raw downloads and published lists to COCO JSON and slice lists."""
from .cncb_ncov import CncbLists, convert_cncb_ncov, draw_balanced_sample
from .coco import LesionFile, annotate_mask, build_coco, lesion_components, read_lesion_mask
from .covid_ct_md import CtMdOptions, convert_covid_ct_md
from .covidx_ct import convert_covidx_ct
from .covidx_lists import CovidxSlice, parse_covidx_ct_list, read_name
from .ictcf import convert_ictcf
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
from .splits import SplitOptions
from .statistics import grey_level_statistics
from .summary import ConversionSummary

__all__ = [
    'CNCB_CLASSES', 'CncbLists', 'CncbSlice', 'ConversionSummary', 'CovidxSlice', 'CtMdOptions', 'ICTCF_CLASSES', 'IctcfSlice',
    'LesionFile', 'LesionSlice', 'PairOptions', 'SplitOptions', 'annotate_mask', 'build_coco', 'convert_cncb_ncov',
    'convert_covid_ct_md', 'convert_covidx_ct', 'convert_ictcf', 'convert_nifti_pairs', 'draw_balanced_sample',
    'grey_level_statistics', 'lesion_components', 'parse_covidx_ct_list', 'parse_covidx_list', 'parse_ictcf_list',
    'parse_published_list', 'parse_segmentation_list', 'read_lesion_mask', 'read_name'
]
