"""Classification of chest-CT slices from the affinities among lesion mask features.

Importing this package registers all its modules in MMDetection's registries, by :mod:`mmaffinity.registration`, and changes two
things for the whole process, by :mod:`mmaffinity.framework`.

Where MMDetection is not installed, the import loads nothing, and exported models can be used: see docs/deployment.md. The same
holds where the environment variable ``MMAFFINITY_LAZY`` is set, as ``mmaffinity predict`` does to start faster.
"""

import os
from importlib.util import find_spec

__version__ = '0.1.0'

if not os.environ.get('MMAFFINITY_LAZY') and find_spec('mmdet') is not None:
    import mmaffinity.registration  # noqa: F401
