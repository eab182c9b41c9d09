"""Verification of data sets: leakage, damaged files, duplicates, annotations, fingerprints."""

from typing import TYPE_CHECKING

from mmaffinity.utils.lazy import lazy_names

if TYPE_CHECKING:
    from .verify import verify_config

__all__ = ['verify_config']

# Imported on first use: converters find near-identical slices without MMDetection.
__getattr__, __dir__ = lazy_names(__name__, {'verify_config': 'verify'})
