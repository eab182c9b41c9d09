"""Verification of data sets: leakage, damage, duplicates, annotations, fingerprints."""

from .findings import CHECKS, Finding
from .fingerprints import content_fingerprint, listing_fingerprint, record_of
from .near import Near
from .report import VerificationReport
from .verify import verify_config

__all__ = [
    'CHECKS',
    'Finding',
    'Near',
    'VerificationReport',
    'content_fingerprint',
    'listing_fingerprint',
    'record_of',
    'verify_config',
]
