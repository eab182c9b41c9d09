"""Verification of data sets: leakage, damaged files, duplicates, annotations, fingerprints; names are imported on first use."""

from typing import TYPE_CHECKING

from mmaffinity.utils.lazy import lazy_names

if TYPE_CHECKING:
    from .findings import CHECKS, Finding
    from .fingerprints import record_of
    from .near import Near
    from .report import VerificationReport
    from .verify import verify_config

__all__ = [
    'CHECKS',
    'Finding',
    'Near',
    'VerificationReport',
    'record_of',
    'verify_config',
]

# Converters find near-identical slices without MMDetection.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        'CHECKS': 'findings',
        'Finding': 'findings',
        'Near': 'near',
        'VerificationReport': 'report',
        'record_of': 'fingerprints',
        'verify_config': 'verify',
    },
)
