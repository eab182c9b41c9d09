"""Converters of raw downloads and published lists to COCO JSON and slice lists."""

from .class_folders import convert_class_folders
from .cncb_ncov import convert_cncb_ncov
from .covid_ct_md import CtMdOptions, convert_covid_ct_md
from .covidx_ct import convert_covidx_ct
from .ictcf import convert_ictcf
from .image_pairs import convert_image_pairs
from .lesion_options import LesionOptions
from .nifti_pairs import PairOptions, convert_nifti_pairs
from .splits import SplitOptions
from .summary import ConversionSummary
from .tables import PatientTable
from .units import UnitOptions

__all__ = [
    'ConversionSummary',
    'CtMdOptions',
    'LesionOptions',
    'PairOptions',
    'PatientTable',
    'SplitOptions',
    'UnitOptions',
    'convert_class_folders',
    'convert_cncb_ncov',
    'convert_covid_ct_md',
    'convert_covidx_ct',
    'convert_ictcf',
    'convert_image_pairs',
    'convert_nifti_pairs',
]
