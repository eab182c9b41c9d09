"""How a config prepares slices for prediction that are not in its lists."""

from typing import Any

from mmengine.config import Config

from .nested_datasets import leaf_configs


def prediction_transforms(cfg: Config) -> list[dict]:
    """Return the config's test pipeline for slices in memory, without loading files and annotations.

    Raises:
        ValueError: if the config has no test data set with a pipeline, or one that crops to body boxes.
    """
    # Of lesion and slice data sets, take the slice data set, which comes last.
    transforms = next((leaf['pipeline'] for leaf in reversed(_tested(cfg)) if leaf.get('pipeline')), None)
    if not transforms:
        raise ValueError(
            f'the config {cfg.filename} has no test data set whose pipeline could prepare slices; add test_dataloader'
        )
    if any(transform['type'] == 'CropToBodyBox' and transform.get('required', True) for transform in transforms):
        raise ValueError(
            f'the model of {cfg.filename} sees slices cropped to the body boxes of its lists (CropToBodyBox), '
            'which scans to predict do not have; take a model that was trained on whole slices'
        )
    kept = [dict(transform) for transform in transforms if 'Load' not in transform['type']]
    return [dict(type='LoadCTSliceFromArray'), *kept]


def slice_class_names(cfg: Config) -> tuple[str, ...]:
    """Return the names of the slice classes: the config's own, or those of its data sets; empty if it names none."""
    named = (leaf.get('metainfo') or {} for leaf in _tested(cfg))
    return tuple(cfg.get('slice_classes') or next(filter(None, (meta.get('slice_classes') for meta in named)), ()))


def _tested(cfg: Config) -> list[Any]:
    loaders = (cfg.get(name) for name in ('val_dataloader', 'test_dataloader'))
    return [leaf for loader in loaders if loader for leaf in leaf_configs(loader.get('dataset'))]
