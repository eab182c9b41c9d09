"""Preprocessing on the model's device."""

from .slice_data_preprocessor import SliceDataPreprocessor

__all__ = ['SliceDataPreprocessor']
