"""MMDetection as this package uses it; every subpackage that uses it imports this module first.

It changes two things for the whole process, each in a function of that name:

* :func:`~mmaffinity.ops.import_mmdet`: MMDetection runs without mmcv's compiled operations.
* :func:`~mmaffinity.checkpoints.register_safe_loader`: MMEngine loads checkpoints as data and never executes them.

Exported models run where none of this is installed.
"""

from mmaffinity.checkpoints import register_safe_loader
from mmaffinity.ops import import_mmdet

import_mmdet()
register_safe_loader()
