"""The phantom: synthetic chest-CT-like slices, so that everything runs without any patient's data.

It draws Normal, common pneumonia and COVID-19 slices with lesion masks and writes them in the raw layouts of
CNCB-NCOV, iCTCF and COVIDx-CT. It stands for data that may not be redistributed; what a model scores on it says that the code
works and nothing about disease. It is never a source of results.
"""

from .patient import SLICE_CLASSES, Lesion, Patient, make_patient
from .plan import LISTS, PhantomSettings, PlannedSlice, plan_phantom
from .slices import CNCB_SCANNER, ICTCF_SCANNER, Scanner, draw_slice
from .writer import PhantomSummary, write_phantom

__all__ = [
    'CNCB_SCANNER',
    'ICTCF_SCANNER',
    'LISTS',
    'SLICE_CLASSES',
    'Lesion',
    'Patient',
    'PhantomSettings',
    'PhantomSummary',
    'PlannedSlice',
    'Scanner',
    'draw_slice',
    'make_patient',
    'plan_phantom',
    'write_phantom',
]
