"""Importing this module registers all modules of this package in MMDetection's registries; configs import it."""

from mmaffinity import datasets, engine, evaluation, models, registry, structures, visualization  # noqa: F401
from mmaffinity.evaluation import metrics  # noqa: F401
from mmaffinity.visualization import slice_visualizer  # noqa: F401
