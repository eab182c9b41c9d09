"""COCO's own average precision beside the paper's."""
from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmaffinity.utils.optional import require
from mmaffinity.utils.wording import plural

from ..functional import format_table
from .lesion_samples import image_name, instance_rles, is_lesion_sample, lesion_instances, prediction_rles, to_numpy

IOU_TYPES = ('bbox', 'segm')
BACKENDS = ('auto', 'pycocotools', 'faster-coco-eval')
MAX_DETECTIONS = 100
# Row of COCOeval's area ranges: all, below 32^2, up to 96^2, above, in pixels.
AREA_ROWS = {'mAP': 0, 'mAP_s': 1, 'mAP_m': 2, 'mAP_l': 3}
THRESHOLD_ROWS = {'mAP_50': 0, 'mAP_75': 5}


@METRICS.register_module()
class LesionCocoMetric(BaseMetric):
    """COCO AP of lesion boxes and masks, over the slices of the segmentation task only.

    MMDetection's ``CocoMetric`` asks every sample for boxes and writes its ground truth and results to files; a run
    over lesion and slice data sets together has samples of both kinds, so this one builds COCO's tables in memory from
    the samples. The numbers are those of pycocotools on the annotation file, with at most 100 objects per slice.

    Args:
        metric: 'bbox', 'segm' or both.
        prefix: first part of the returned keys.
        collect_device: 'cpu' or 'gpu', by which way several processes bring their results together.
        backend: 'pycocotools', 'faster-coco-eval' (the same numbers, sooner on many slices), or 'auto': the latter where it
            is installed.

    Raises:
        ValueError: if ``metric`` names anything else, or the backend is unknown or not installed.
    """
    default_prefix = 'coco'

    def __init__(self, metric: str | Sequence[str] = IOU_TYPES, prefix: str | None = None,
                 collect_device: str = 'cpu', backend: str = 'auto') -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.metrics = (metric, ) if isinstance(metric, str) else tuple(metric)
        if not self.metrics or not set(self.metrics) <= set(IOU_TYPES):
            raise ValueError(f"metric must be 'bbox', 'segm' or both, got {metric!r}")
        self.coco_classes = coco_classes(backend)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep boxes, scores and run lengths of a batch.

        Raises:
            ValueError: if a lesion slice lacks its annotation or its prediction.
        """
        for sample in data_samples:
            # One entry per sample, also of the other task: several processes drop their padding by counting entries.
            self.results.append(self._extract(sample) if is_lesion_sample(sample) else {})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Run COCO's evaluation.

        Returns:
            'bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75', 'bbox_mAP_s', '_m', '_l' and the same for 'segm', in [0, 1]. The
            value of an area range without lesions is undefined (COCO writes -1) and has no entry; without any lesion at
            all the result is empty. Without predictions all are 0.
        """
        logger = MMLogger.get_current_instance()
        results = [result for result in results if result]
        if not any(gt['iscrowd'] == 0 for result in results for gt in result['gts']):
            logger.warning('No annotated lesion among the tested slices, so COCO average precision is undefined.')
            return {}
        metrics: dict[str, float] = {}
        for iou_type in self.metrics:
            metrics.update(_average_precision(results, iou_type, *self.coco_classes))
        names = [*AREA_ROWS, *THRESHOLD_ROWS]
        rows = [[iou_type, *(_cell(metrics.get(f'{iou_type}_{name}')) for name in names)] for iou_type in self.metrics]
        logger.info(f'COCO average precision, pooled over {plural(len(results), "slice")} (-: no lesion of that size):\n'
                    + format_table(['overlap of', *names], rows))
        return metrics

    def _extract(self, sample: dict) -> dict:
        pred, instances = sample['pred_instances'], lesion_instances(sample, ignored=True)
        boxes, scores, labels = (to_numpy(pred[key]).tolist() for key in ('bboxes', 'scores', 'labels'))
        gts = [dict(category_id=int(instance['bbox_label']), bbox=_xywh(instance['bbox']),
                    iscrowd=int(instance.get('ignore_flag', 0))) for instance in instances]
        dts = [dict(category_id=label, bbox=_xywh(box), score=score, iscrowd=0)
               for box, score, label in zip(boxes, scores, labels)]
        if not np.isfinite(scores).all():
            raise ValueError(f'{image_name(sample)}: the scores of the predicted objects must be finite numbers')
        if 'segm' in self.metrics:
            for annotation, rle in zip(gts + dts, instance_rles(sample, instances) + prediction_rles(sample)):
                annotation['segmentation'] = rle
        return dict(height=int(sample['ori_shape'][0]), width=int(sample['ori_shape'][1]), gts=gts, dts=dts)


def coco_classes(backend: str) -> tuple[type, type]:
    """Return the classes COCO and COCOeval of a backend; see :class:`LesionCocoMetric`.

    Raises:
        ValueError: if the backend is unknown or not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {BACKENDS}, not {backend!r}')
    if backend == 'pycocotools' or (backend == 'auto' and importlib.util.find_spec('faster_coco_eval') is None):
        return COCO, COCOeval
    module = require('faster_coco_eval', 'coco')
    return module.COCO, module.COCOeval_faster


def _average_precision(results: list[dict], iou_type: str, coco_class: type, eval_class: type) -> dict[str, float]:
    """The one place that calls COCO's evaluation."""
    # COCO's classes print their progress; what they have to say goes to the log as one table.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = eval_class(*(_coco(results, key, iou_type, coco_class) for key in ('gts', 'dts')), iou_type)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision']  # (IoU threshold, recall, class, area range, 1), -1 where undefined
    values = {name: precision[:, :, :, row] for name, row in AREA_ROWS.items()}
    values.update({name: precision[row, :, :, 0] for name, row in THRESHOLD_ROWS.items()})
    return {f'{iou_type}_{name}': float(value[value > -1].mean())
            for name, value in values.items() if (value > -1).any()}


def _coco(results: list[dict], key: str, iou_type: str, coco_class: type) -> Any:
    # Images are numbered by their place: two concatenated data sets may use the same img_id.
    annotations: list[dict] = []
    for image_id, result in enumerate(results):
        for annotation in result[key]:
            rle = annotation.get('segmentation')
            # As in COCO's files and its loadRes: the area is that of the mask, of predicted boxes that of the box.
            area = annotation['bbox'][2] * annotation['bbox'][3] if rle is None or (key, iou_type) == ('dts', 'bbox') \
                else float(coco_mask.area(rle))
            annotations.append({**annotation, 'id': len(annotations) + 1, 'image_id': image_id, 'area': area})
    categories = sorted({gt['category_id'] for result in results for gt in result['gts']})
    coco = coco_class()
    coco.dataset = dict(
        images=[dict(id=image_id, height=result['height'], width=result['width'])
                for image_id, result in enumerate(results)],
        categories=[dict(id=category, name=str(category)) for category in categories],
        annotations=annotations)
    coco.createIndex()
    return coco


def _xywh(box: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
