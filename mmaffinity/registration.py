"""Importing this module registers all modules of this package in MMDetection's registries; configs import it."""

from mmaffinity import engine, models, registry, structures  # noqa: F401
from mmaffinity.datasets import (  # noqa: F401
    lesion_dataset,
    multi_task_dataset,
    samplers,
    slice_dataset,
    slice_folder_dataset,
    transforms,
)
from mmaffinity.evaluation import metrics  # noqa: F401
from mmaffinity.visualization import slice_visualizer  # noqa: F401
