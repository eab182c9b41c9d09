"""The phantom: synthetic slices that look like chest CT, so that everything runs without patient data.

Normal, common pneumonia and COVID-19 slices with lesion masks are written in the raw layouts of CNCB-NCOV, iCTCF and COVIDx-CT.
The phantom stands in for data that may not be redistributed. Scores on it show that the code works but say nothing about
disease: it is never a source of results.
"""

from .patient import SLICE_CLASSES, make_patient
from .plan import LISTS, PhantomSettings, plan_phantom
from .slices import ICTCF_SCANNER, draw_slice
from .writer import write_phantom

__all__ = [
    'ICTCF_SCANNER',
    'LISTS',
    'SLICE_CLASSES',
    'PhantomSettings',
    'draw_slice',
    'make_patient',
    'plan_phantom',
    'write_phantom',
]
