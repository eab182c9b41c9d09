"""Phantom slices and their data samples, for timing models."""

from functools import lru_cache

import cv2
import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import BaseDataElement, InstanceData

from mmaffinity.datasets.phantom.patient import make_patient
from mmaffinity.datasets.phantom.slices import draw_slice
from mmaffinity.structures import SEGMENTATION, SliceDataSample

COVID_19 = 2  # a phantom of this class has several lesions
LEVEL = 0.55  # relative height in the phantom's lungs, near the middle, where lesions are
MIN_LESION_AREA = 100  # pixels, exclusive


@lru_cache(maxsize=64)
def phantom_slice(number: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw the slice of a phantom patient.

    Args:
        number: number of the patient.
        size: (width, height) in pixels.

    Returns:
        Grey levels and mask, uint8, shape (height, width); in the mask, lesions have values of 2 and above.
    """
    grey, mask = draw_slice(make_patient(0, number, COVID_19), LEVEL, max(size))
    return cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST), cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)


def phantom_sample(task: str, size: tuple[int, int], mask: np.ndarray | None = None) -> SliceDataSample:
    """Return the data sample of a phantom slice, for the segmentation task with the lesions in its mask.

    Args:
        task: 'segmentation' or 'classification'.
        size: (width, height) in pixels.
        mask: mask from :func:`phantom_slice`, shape (height, width); only for segmentation.
    """
    shape = size[::-1]
    sample = SliceDataSample(
        metainfo=dict(task=task, img_id=0, img_path='phantom', img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))
    )
    sample.gt_slice = BaseDataElement(label=torch.tensor([1]))
    if task == SEGMENTATION:
        number, parts, stats, _ = cv2.connectedComponentsWithStats((np.asarray(mask) >= 2).astype(np.uint8), connectivity=8)
        kept = [i for i in range(1, number) if stats[i, cv2.CC_STAT_AREA] > MIN_LESION_AREA]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in stats[kept, :4].tolist()]
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.zeros(len(kept), dtype=torch.long),
            masks=BitmapMasks(
                np.stack([parts == i for i in kept]).astype(np.uint8) if kept else np.zeros((0, *shape), np.uint8), *shape
            ),
        )
    return sample
