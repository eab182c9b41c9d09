"""Verification of data sets: leakage, damage, duplicates, annotations, fingerprints."""

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
