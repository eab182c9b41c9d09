"""The preprocessing that a config defines for predicting slices outside its lists."""

from typing import Any

from mmengine.config import Config

from .nested_datasets import leaf_configs

ARRAY_LOADER = 'LoadImageFromNDArray'  # replaces the loader of files, also in the description of a shared model
COLOR_LOADERS = ('LoadImageFromFile', 'mmdet.LoadImageFromFile', 'mmcv.LoadImageFromFile', ARRAY_LOADER)


def prediction_transforms(cfg: Config) -> list[dict]:
    """Return a config's test pipeline for slices in memory, without loading of files and annotations.

    Returns:
        Transforms. The first takes a grayscale slice from memory or, if the config reads its images in colour (with
        MMDetection's ``LoadImageFromFile``), a colour image; see :func:`takes_color`.

    Raises:
        ValueError: if the config has no test data set with a pipeline, one that crops to body boxes, or one that reads images
            neither in grayscale nor in colour.
    """
    # If there are lesion and slice data sets, the slice data set comes last.
    transforms = next((leaf['pipeline'] for leaf in reversed(_tested(cfg)) if leaf.get('pipeline')), None)
    if not transforms:
        raise ValueError(
            f'the config {cfg.filename} has no test data set with a pipeline to prepare slices; add test_dataloader'
        )
    if any(transform['type'] == 'CropToBodyBox' and transform.get('required', True) for transform in transforms):
        raise ValueError(
            f'the model of {cfg.filename} needs slices cropped to the body boxes of its lists (CropToBodyBox), '
            'which new scans lack; use a model that was trained on whole slices'
        )
    kept = [dict(transform) for transform in transforms if 'Load' not in transform['type']]
    loaders = [transform for transform in transforms if transform['type'] in COLOR_LOADERS]
    color_type = loaders[0].get('color_type', 'color') if loaders else 'grayscale'
    if color_type == 'grayscale':
        return [dict(type='LoadCTSliceFromArray'), *kept]
    if color_type != 'color':
        raise ValueError(
            f'the config {cfg.filename} reads images with color_type={color_type!r}, which prediction does not support: use '
            "LoadCTSlice for grayscale images, or color_type='color'"
        )
    return [dict(type=ARRAY_LOADER, to_float32=loaders[0].get('to_float32', False)), *kept]


def takes_color(transforms: list[dict]) -> bool:
    """Return whether transforms from :func:`prediction_transforms` take colour images (BGR), not grayscale slices."""
    return transforms[0]['type'] == ARRAY_LOADER


def slice_class_names(cfg: Config) -> tuple[str, ...]:
    """Return the names of the slice classes from the config or else its data sets; empty if there are none."""
    named = (leaf.get('metainfo') or {} for leaf in _tested(cfg))
    return tuple(cfg.get('slice_classes') or next(filter(None, (meta.get('slice_classes') for meta in named)), ()))


def _tested(cfg: Config) -> list[Any]:
    loaders = (cfg.get(name) for name in ('val_dataloader', 'test_dataloader'))
    return [leaf for loader in loaders if loader for leaf in leaf_configs(loader.get('dataset'))]
