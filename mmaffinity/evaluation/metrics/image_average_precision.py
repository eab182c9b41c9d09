"""The paper's segmentation metric, registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmaffinity.structures import SEGMENTATION
from mmaffinity.utils.wording import plural

from ..functional.average_precision import image_average_precision, summarize_average_precision
from ..functional.mask_overlap import mask_iou
from .lesion_samples import check_lesion_sample, image_name, instance_rles, lesion_instances, prediction_rles, to_numpy


@METRICS.register_module()
class ImageAveragePrecision(BaseMetric):
    """Mask AP averaged over images: AP50, AP75 and mAP as in the paper's Table 3.

    Unlike in COCO's AP, which pools the detections of all images, every slice counts equally, including slices without
    lesions (:func:`mmaffinity.evaluation.functional.image_average_precision`). One pass over the data yields all ten
    thresholds. Samples of the classification task are ignored. An annotation with ``ignore_flag`` (COCO's ``iscrowd``) marks a
    region that need not be detected and in which predictions do not count. The masks of a slice are discarded once its ten
    values are computed.

    Args:
        prefix: prefix of the returned keys; None means 'lesion'.
        collect_device: 'cpu' or 'gpu', the device on which distributed results are collected.

    Attributes:
        per_image: after :meth:`evaluate`, in the main process, one dict per slice: img_path, patient_id, scan_id,
            num_gt, num_pred and ap, its ten values at IoU 0.50, 0.55, ..., 0.95.
    """

    default_prefix = 'lesion'

    def __init__(self, prefix: str | None = None, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.per_image: list[dict] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score a batch of slices.

        Raises:
            ValueError: if a lesion slice lacks its annotations or its prediction, or their masks differ in size.
        """
        for sample in data_samples:
            # One entry per sample, including those of the other task: distributed padding is removed by counting entries.
            self.results.append(self._score(sample) if sample.get('task') == SEGMENTATION else {})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Return 'AP50', 'AP75' and 'mAP', means over the slices in [0, 1]; empty without slices of the segmentation task."""
        logger = MMLogger.get_current_instance()
        self.per_image = [result for result in results if result]
        if not self.per_image:
            logger.warning('No slices of the segmentation task were tested, so there is no average precision of lesions.')
            return {}
        metrics = summarize_average_precision(np.array([image['ap'] for image in self.per_image]))
        with_lesions = sum(image['num_gt'] > 0 for image in self.per_image)
        logger.info(
            'Lesion masks, mean over images: '
            + ', '.join(f'{name} {value:.3f}' for name, value in metrics.items())
            + f' ({plural(len(self.per_image), "slice")}, {with_lesions} with lesions)'
        )
        return metrics

    @staticmethod
    def _score(sample: dict) -> dict:
        check_lesion_sample(sample)
        pred, instances = sample['pred_instances'], lesion_instances(sample)
        rles, truth, labels = prediction_rles(sample), instance_rles(sample, instances), to_numpy(pred['labels'])
        try:
            ap = image_average_precision(
                mask_iou(rles, truth),
                to_numpy(pred['scores']),
                labels,
                np.array([instance['bbox_label'] for instance in instances], dtype=np.int64),
                crowd_overlaps=_crowd_overlaps(sample, rles, labels),
            )
        except ValueError as error:
            raise ValueError(f'{image_name(sample)}: {error}') from error
        return dict(
            img_path=sample.get('img_path'),
            patient_id=sample.get('patient_id'),
            scan_id=sample.get('scan_id'),
            num_gt=len(instances),
            num_pred=len(pred['scores']),
            ap=ap.tolist(),
        )


def _crowd_overlaps(sample: dict, rles: list[dict], labels: np.ndarray) -> np.ndarray | None:
    """Return the largest share of each prediction that a crowd region of its class covers, shape (n,); None without regions."""
    crowds = [
        instance
        for instance in lesion_instances(sample, ignored=True)
        if instance.get('ignore_flag', 0) and instance.get('mask')
    ]
    if not crowds:
        return None
    overlaps = mask_iou(rles, instance_rles(sample, crowds), crowd=True)
    same_class = labels[:, None] == np.array([crowd['bbox_label'] for crowd in crowds])
    return np.where(same_class, overlaps, 0.0).max(axis=1)
