"""MMDetection as this package uses it: with operations in plain torch, and with checkpoints read without executing code.

Every subpackage that uses MMDetection imports this module first. Importing ``mmaffinity`` itself loads nothing, so that
exported models run where none of this is installed.
"""
import contextlib
import io
import warnings

try:
    from mmaffinity.ops import operations_in_torch

    # Two warnings about packages that are not needed here; one claims that metrics will not be computed, but they are.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), operations_in_torch():
        warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
    from mmaffinity.utils.checkpoint import register_safe_loader
    register_safe_loader()
except Exception as error:
    raise ImportError(f'mmaffinity cannot be imported ({type(error).__name__}: {error}); "mmaffinity check-env" reports the '
                      'problem and how to fix it') from error
