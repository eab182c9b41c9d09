"""Classification of chest-CT slices from the affinities among lesion mask features.

Importing this package registers all its modules in MMDetection's registries.
"""
import contextlib
import io
import warnings

__version__ = '0.1.0'

try:
    from mmaffinity.ops import operations_in_torch

    # Two warnings about packages that are not needed here; one claims that metrics will not be computed, but they are.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), operations_in_torch():
        warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
    from mmaffinity import datasets, engine, evaluation, models, registry, structures, visualization  # noqa: F401
    from mmaffinity.checkpoints import register_safe_loader
    register_safe_loader()
except Exception as error:
    raise ImportError(f'mmaffinity cannot be imported ({type(error).__name__}: {error}); "mmaffinity check-env" reports the '
                      'problem and how to fix it') from error
