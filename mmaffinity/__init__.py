"""Classification of chest-CT slices from the affinities among lesion mask features.

Importing this package registers all its modules in MMDetection's registries.
"""
import contextlib
import io
import sys
import warnings

__version__ = '0.1.0'

# Python imports this package before it runs `python -m mmaffinity.check_env`, which has to work where torch, mmcv or
# mmdet are missing or broken; sys.argv[0] is '-m' only while Python looks for the module that it is to run.
if sys.argv[:1] != ['-m'] or 'mmaffinity.check_env' not in sys.orig_argv:
    try:
        from mmaffinity.ops import operations_in_torch

        # Two notes on packages that nothing here needs, one of which says that metrics will not be computed; they are.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), operations_in_torch():
            warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
            import mmdet.datasets
            import mmdet.evaluation
            import mmdet.models  # noqa: F401
        from mmaffinity import datasets, engine, evaluation, models, structures, visualization  # noqa: F401
        from mmaffinity.utils.checkpoint import register_safe_loader
        register_safe_loader()
    except Exception as error:
        raise ImportError(f'mmaffinity cannot be loaded ({type(error).__name__}: {error}); what is wrong and the '
                          'command that mends it: python -m mmaffinity.check_env') from error
