"""Inputs of the two lesion metrics, read from data samples in the evaluator's dict form."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mmaffinity.utils.run_lengths import encode_masks
from mmaffinity.utils.wording import plural


def check_lesion_sample(sample: dict, annotated: bool = True) -> None:
    """Check that a sample has a prediction and, if ``annotated``, lesion annotations.

    Raises:
        ValueError: if it does not.
    """
    if annotated and sample.get('instances') is None:
        raise ValueError(
            f"{image_name(sample)}: the sample has no 'instances', the annotated lesions. Add 'instances' "
            "to meta_keys of the test pipeline's packing transform"
        )
    if sample.get('pred_instances') is None:
        raise ValueError(
            f"{image_name(sample)}: the model predicted no 'pred_instances' for a lesion slice. Test with "
            'a model and mode that detect lesions, or remove the lesion metrics from the evaluator'
        )


def image_name(sample: dict) -> str:
    """Return the path of the slice, or its ID if it has none, for messages."""
    return str(sample.get('img_path') or f'image {sample.get("img_id")}')


def lesion_instances(sample: dict, ignored: bool = False) -> list[dict]:
    """Return the annotated lesions of a slice; ignored ones only if ``ignored``."""
    return [instance for instance in sample['instances'] if ignored or not instance.get('ignore_flag', 0)]


def instance_rles(sample: dict, instances: list[dict]) -> list[dict]:
    """Return the run lengths of the masks of ``instances``, at the original size of the slice.

    Raises:
        ValueError: if a lesion has no mask, or one that is neither run lengths nor polygons.
    """
    for index, instance in enumerate(instances):
        if not instance.get('mask'):
            raise ValueError(
                f'{image_name(sample)}: lesion {index} has no mask, so mask overlaps cannot be computed: annotate its mask'
            )
    try:
        return encode_masks([instance['mask'] for instance in instances], tuple(sample['ori_shape'][:2]))
    except ValueError as error:
        raise ValueError(f'{image_name(sample)}: {error}') from error


def prediction_rles(sample: dict) -> list[dict]:
    """Return the run lengths of the n predicted masks, cached in the sample because both metrics need them.

    Raises:
        ValueError: if objects have no masks, or the masks are not binary.
    """
    pred = sample['pred_instances']
    if 'mask_rles' not in pred:
        masks = pred.get('masks')
        if masks is None:
            if len(pred['scores']):
                raise ValueError(
                    f"{image_name(sample)}: {plural(len(pred['scores']), 'predicted object')} without 'masks'. "
                    'The lesion metrics need a model with a mask head'
                )
            masks = []
        try:
            pred['mask_rles'] = encode_masks(to_numpy(masks) if isinstance(masks, Tensor) else masks)
        except ValueError as error:
            raise ValueError(f'{image_name(sample)}: {error}') from error
    if len(pred['mask_rles']) != len(pred['scores']):
        raise ValueError(
            f'{image_name(sample)}: {plural(len(pred["scores"]), "predicted object")}, but '
            f'{plural(len(pred["mask_rles"]), "mask")}'
        )
    return pred['mask_rles']


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Copy a tensor to a NumPy array; half precision, including bfloat16, becomes float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
