"""Classification of chest-CT slices from the affinities among lesion mask features.

Importing this package registers all its modules in MMDetection's registries. It also changes two things for the whole process,
each in a function of that name:

* :func:`~mmaffinity.ops.import_mmdet`: MMDetection runs without mmcv's compiled operations.
* :func:`~mmaffinity.checkpoints.register_safe_loader`: MMEngine loads checkpoints as data and never executes them.
"""
__version__ = '0.1.0'

from mmaffinity.checkpoints import register_safe_loader
from mmaffinity.ops import import_mmdet

import_mmdet()
from mmaffinity import datasets, engine, evaluation, models, registry, structures, visualization  # noqa: E402, F401

register_safe_loader()
