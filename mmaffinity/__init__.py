"""Classification of chest-CT slices from the affinities among lesion mask features.

Importing this package loads nothing. ``mmaffinity.registration`` registers all its modules in MMDetection's registries; the
configs import it.
"""
__version__ = '0.1.0'
