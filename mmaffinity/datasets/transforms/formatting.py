"""Packing a loaded slice into the models' input."""

from collections.abc import Sequence

import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes
from mmengine.structures import BaseDataElement, InstanceData

from mmaffinity.structures import CLASSIFICATION, SliceDataSample

from .loading import check_annotated_size


@TRANSFORMS.register_module()
class PackSliceInputs(PackDetInputs):
    """Pack a slice into a tensor and its ground truth into a :class:`~mmaffinity.structures.SliceDataSample`.

    Lesions go to ``gt_instances`` (``bboxes`` a float tensor (n, 4), x1 y1 x2 y2 in pixels of the network's input,
    ``labels`` (n,), ``masks``), and lesions to be ignored to ``ignored_instances``. Both exist only if lesions were loaded,
    and never for the classification task. ``gt_slice_label`` goes to ``gt_slice.label``, shape (1,).

    Args:
        meta_keys: entries of the results to keep as meta information. ``task``, ``patient_id`` and ``scan_id`` are None if
            unknown; other missing entries are omitted.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'task',
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'crop_box',
            'patient_id',
            'scan_id',
            'instances',
        ),
    ) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Return ``inputs`` of shape (1 or 3, H, W), uint8 or float32, and ``data_samples``.

        Raises:
            ValueError: if the image does not have one or three channels, or its file does not have the annotated size.
        """
        img = results['img']
        if not (img.ndim == 2 or img.ndim == 3 and img.shape[2] in (1, 3)):
            raise ValueError(
                f'PackSliceInputs takes a grayscale or colour image of shape (H, W), (H, W, 1) or (H, W, 3), not '
                f'{img.shape}: load it with LoadCTSlice or LoadImageFromFile'
            )
        # LoadImageFromFile does not check the size. CropToBodyBox replaces ori_shape, after LoadCTSlice has checked it.
        if 'ori_shape' in results and 'crop_box' not in results:
            check_annotated_size(results, results['ori_shape'][:2])
        packed = super().transform({**dict.fromkeys(('task', 'patient_id', 'scan_id')), **results})
        detection = packed['data_samples']
        sample = SliceDataSample(metainfo=detection.metainfo)
        # A pipeline shared by both tasks loads an empty list of lesions for slices without lesion annotations.
        if results.get('task') != CLASSIFICATION and not self.mapping_table.keys().isdisjoint(results):
            sample.gt_instances = _plain_boxes(detection.gt_instances)
            sample.ignored_instances = _plain_boxes(detection.ignored_instances)
        if 'gt_slice_label' in results:
            sample.gt_slice = BaseDataElement(label=torch.tensor([results['gt_slice_label']], dtype=torch.long))
        packed['data_samples'] = sample
        return packed


def _plain_boxes(instances: InstanceData) -> InstanceData:
    # Unwrap box objects here, as MMDetection's own preprocessor does, so that consumers need not.
    if isinstance(instances.get('bboxes'), BaseBoxes):
        instances.bboxes = instances.bboxes.tensor
    return instances
