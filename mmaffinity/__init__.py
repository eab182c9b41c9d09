"""Classification of chest-CT slices from the affinities among lesion mask features.

Importing this package registers all its modules in MMDetection's registries, by :mod:`mmaffinity.registration`, and changes two
things for the whole process, by :mod:`mmaffinity.framework`.

Where MMDetection is not installed, the import loads nothing, and exported models can be used: see docs/deployment.md. The same
holds where the environment variable ``MMAFFINITY_LAZY`` is set, and for the command ``mmaffinity``, which imports what it needs
once its arguments are known.
"""

import os
import sys
from importlib.util import find_spec
from itertools import pairwise

__version__ = '0.1.0'

# ``python -m mmaffinity`` imports the package before its command. Until then, Python keeps '-m' in place of the program's name.
_is_command = sys.argv[:1] == ['-m'] and ('-m', 'mmaffinity') in pairwise(sys.orig_argv)

if not _is_command and not os.environ.get('MMAFFINITY_LAZY') and find_spec('mmdet') is not None:
    from mmaffinity.utils.garbage import collection_paused

    with collection_paused():
        import mmaffinity.registration  # noqa: F401
