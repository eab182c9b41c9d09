"""MMDetection's COCO metric for the lesion slices of a run."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.evaluation.functional import eval_recalls
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from pycocotools import mask as coco_mask

from mmaffinity.structures import CLASSIFICATION, SEGMENTATION
from mmaffinity.utils.tables import format_table
from mmaffinity.utils.wording import first_few, plural

from .coco_evaluation import AP_NAMES, coco_classes, evaluate_coco, recall_rows
from .lesion_samples import check_lesion_sample, image_name, instance_rles, lesion_instances, prediction_rles, to_numpy

NO_LESION = 'The tested slices have no annotated lesions, so COCO average precision is undefined.'
METRIC_NAMES = ('bbox', 'segm', 'proposal', 'proposal_fast')


class UnknownMetricError(ValueError, KeyError):
    """A KeyError, as in MMDetection, that is also a ValueError, which commands report without a traceback."""

    __str__ = ValueError.__str__  # KeyError's would quote the message


@METRICS.register_module()
class LesionCocoMetric(CocoMetric):
    """MMDetection's ``CocoMetric`` with the same arguments, over all samples except those of the classification task.

    It differs from MMDetection's class as follows:

    - Average precision counts at most 100 objects per slice, as defined by COCO, whatever ``proposal_nums`` is.
    - Values have twelve decimals (there: three). An undefined value, such as the average precision of a size or class without
      lesions, has no entry (there: -1 or NaN). Without any detection, all values are 0 (there: no entry).
    - Without ``ann_file``, data sets may share image IDs, and if 'segm' is evaluated, sizes are those of the masks.
    - With ``ann_file``, the labels of a :class:`LesionDataset` map to the categories with the same names, in any order. A file
      that lacks a class or a tested slice is rejected.
    - Recalls are named after the numbers in ``proposal_nums``, however many there are. 'proposal_fast' accepts slices with
      different numbers of boxes, pairs boxes and lesions by image ID, and ranks boxes by score.

    Args:
        ann_file: COCO JSON with the ground truth; None uses the annotations of the samples.
        metric: one or more of 'bbox', 'segm', 'proposal' and 'proposal_fast'.
        *args: further positional arguments of :class:`mmdet.evaluation.CocoMetric`.
        backend: 'pycocotools', 'faster-coco-eval' (the same numbers, faster on many slices), or 'auto': the latter if it is
            installed and ``use_mp_eval`` is off.
        **kwargs: further keyword arguments: ``classwise``, ``proposal_nums``, ``iou_thrs``, ``metric_items``, ``format_only``,
            ...

    Raises:
        UnknownMetricError: if ``metric`` or ``metric_items`` has an unknown name.
        ValueError: if ``metric`` is empty, or the backend is unknown, not installed or combined with ``use_mp_eval``.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = 'bbox',
        *args: Any,
        backend: str = 'auto',
        **kwargs: Any,
    ) -> None:
        metrics = [metric] if isinstance(metric, str) else list(metric)
        if not metrics:
            raise ValueError(f'metric must be one or more of {METRIC_NAMES}, not {metric!r}')
        for name in metrics:
            if name not in METRIC_NAMES:
                raise UnknownMetricError(f'metric must be one of {METRIC_NAMES}, not {name!r}')
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            super().__init__(ann_file, metrics, *args, **kwargs)
        self.ann_file = ann_file
        self.coco_classes = coco_classes(backend, self.use_mp_eval)
        known = (*AP_NAMES, *recall_rows(self.proposal_nums))
        for item in self.metric_items or ():
            if item not in known:
                raise UnknownMetricError(f'metric item {item!r} is unknown; choose from {known}')

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store boxes, scores and run lengths of a batch.

        Raises:
            ValueError: if a slice lacks its prediction or, without ``ann_file``, its annotations, or a score is not finite.
        """
        for sample in data_samples:
            # One entry per sample, including those of the other task: distributed padding is removed by counting entries.
            self.results.append(() if sample.get('task') == CLASSIFICATION else self._extract(sample))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Run COCO's evaluation.

        Returns:
            MMDetection's keys: 'bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75', 'bbox_mAP_s', '_m', '_l', the same for 'segm',
            'AR@100' and so on for proposals, '<class>_precision' with ``classwise``. All are in [0, 1]; undefined values have
            no entry, so the result is empty without any lesions. It is also empty with ``format_only``.

        Raises:
            ValueError: if the slices or their labels do not match ``ann_file``.
        """
        logger = MMLogger.get_current_instance()
        results = [result for result in results if result]
        if not results:
            logger.warning(NO_LESION)
            return {}
        # MMDetection's class would reuse the ground truth of its first evaluation; a fresh copy does not.
        run: Any = copy.copy(self)
        run.metrics = [metric for metric in self.metrics if metric == 'proposal_fast']
        run.iou_thrs = np.atleast_1d(self.iou_thrs)
        classes, run.cat_ids = self._categories(results)
        run.dataset_meta = {**(self.dataset_meta or {}), 'classes': classes}
        numbered = [
            ({**gt, 'img_id': image_id}, {**pred, 'img_id': image_id})
            for image_id, (gt, pred) in zip(self._image_ids(results), results)
        ]
        rows: dict[str, dict[str, float | None]] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            # Writes COCO's files, and computes the metrics left in `run.metrics`.
            metrics = super(LesionCocoMetric, run).compute_metrics(numbered)
            if self.format_only:
                return metrics
            metrics = {name: float(value) for name, value in metrics.items() if np.isfinite(value)}
            for metric in self.metrics:
                if metric != 'proposal_fast':
                    metrics.update(run._average(metric, [pred for _, pred in numbered], rows))
        if not metrics:
            logger.warning(NO_LESION)
        elif rows:
            columns = list(dict.fromkeys(item for values in rows.values() for item in values))
            cells = [
                [label, *(_cell(values[item]) if item in values else '' for item in columns)] for label, values in rows.items()
            ]
            logger.info(
                f'COCO average precision, pooled over {plural(len(results), "slice")} (-: no lesion of that size):\n'
                + format_table(['overlap of', *columns], cells)
            )
        return metrics

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write the result files if ``outfile_prefix`` was given; COCO's evaluation does not need them."""
        return super().results2json(results, outfile_prefix) if self.outfile_prefix else {}

    def fast_eval_recall(
        self, results: Sequence[dict], proposal_nums: Sequence[int], iou_thrs: Sequence[float], logger: MMLogger | None = None
    ) -> np.ndarray:
        """Return the recall of the highest-scoring boxes, averaged over ``iou_thrs``; shape (len(proposal_nums),)."""
        boxes = {result['img_id']: result['bboxes'][np.argsort(-result['scores'], kind='stable')] for result in results}
        recalls, counts = [], []
        for image_id in self.img_ids:
            found = np.array(
                [
                    entry['bbox']
                    for entry in self._coco_api.imgToAnns[image_id]
                    if not (entry.get('ignore') or entry.get('iscrowd'))
                ],
                dtype=np.float32,
            ).reshape(-1, 4)
            if len(found):
                found[:, 2:] += found[:, :2]
                # One image at a time, because MMDetection's function stacks the overlaps of images, which must have one shape.
                recalls.append(
                    eval_recalls(
                        [found], [boxes.get(image_id, np.zeros((0, 4), np.float32))], proposal_nums, iou_thrs, logger='silent'
                    ).mean(axis=1)
                )
                counts.append(len(found))
        return np.average(recalls, axis=0, weights=counts) if counts else np.full(len(proposal_nums), np.nan)

    def _extract(self, sample: dict) -> tuple[dict, dict]:
        """Return ground truth and prediction in the form that the parent's methods take."""
        check_lesion_sample(sample, annotated=self._coco_api is None)
        pred, (height, width) = sample['pred_instances'], sample['ori_shape'][:2]
        result: dict[str, Any] = {
            key: to_numpy(pred[key]) for key in ('bboxes', 'scores', 'labels', 'mask_scores') if key in pred
        }
        if not all(np.isfinite(result.get(key, 0)).all() for key in ('scores', 'mask_scores')):
            raise ValueError(f'{image_name(sample)}: the scores of the predicted objects must be finite numbers')
        if 'segm' in self.metrics or (self.outfile_prefix and 'masks' in pred):
            result['masks'] = prediction_rles(sample)
        instances = lesion_instances(sample, ignored=True) if self._coco_api is None else []
        annotations = [
            dict(bbox=instance['bbox'], bbox_label=int(instance['bbox_label']), ignore_flag=int(instance.get('ignore_flag', 0)))
            for instance in instances
        ]
        if 'segm' in self.metrics:
            for annotation, rle in zip(annotations, instance_rles(sample, instances)):
                annotation['mask'] = rle
        gt = dict(img_id=sample.get('img_id'), task=sample.get('task'), height=int(height), width=int(width), anns=annotations)
        return gt, result

    def _image_ids(self, results: list[tuple]) -> list:
        """Return the ID of each tested slice in the ground truth."""
        ids = [gt['img_id'] for gt, _ in results]
        shared = len(set(ids)) < len(ids)
        if self._coco_api is None:
            # By position if need be, because two concatenated data sets may use the same img_id.
            return list(range(len(ids))) if shared or not all(isinstance(image_id, int) for image_id in ids) else ids
        self._check_file('tested slices share an img_id', not shared)
        unknown = [str(image_id) for image_id in ids if image_id not in self._coco_api.imgs]
        self._check_file(f'it has no images with the IDs {first_few(unknown)}', not unknown)
        return ids

    def _categories(self, results: list[tuple]) -> tuple[list[str], list]:
        """Return the names and category IDs of the labels 0, 1, ..."""
        classes = list((self.dataset_meta or {}).get('classes', ()))
        labels = [
            *(label for _, pred in results for label in pred['labels'].astype(int).tolist()),
            *(entry['bbox_label'] for gt, _ in results for entry in gt['anns']),
        ]
        number = max(labels, default=-1) + 1
        if self._coco_api is None:
            classes += map(str, range(len(classes), number))
            return classes, list(range(len(classes)))
        categories = self._coco_api.load_cats(self._coco_api.get_cat_ids(cat_names=classes))
        classes = classes or [category['name'] for category in categories]
        self._check_file(f'its categories do not include all of {classes}', len(categories) == len(classes))
        self._check_file(f'label {number - 1} was predicted, but the classes are {classes}', number <= len(classes))
        # MMDetection's CocoDataset numbers its labels in the order of the file, LesionDataset in that of the classes.
        if all(gt['task'] == SEGMENTATION for gt, _ in results):
            categories.sort(key=lambda category: classes.index(category['name']))
        return classes, [category['id'] for category in categories]

    def _check_file(self, problem: str, fits: bool) -> None:
        if not fits:
            raise ValueError(
                f'{self.ann_file} does not match the tested slices: {problem}. Set ann_file to the annotation file of the '
                'tested data set, or leave it out to compare with the lesions of the samples'
            )

    def _average(self, metric: str, preds: list[dict], rows: dict[str, dict[str, float | None]]) -> dict[str, float]:
        """Return the values of one kind of overlap by key, and add its rows to ``rows``, the table."""
        recalls = recall_rows(self.proposal_nums)
        items = self.metric_items
        if items is None:
            items = recalls if metric == 'proposal' else AP_NAMES
        iou_type, prefix = ('bbox', '') if metric == 'proposal' else (metric, f'{metric}_')
        average, *by_category = evaluate_coco(
            self._ground_truth(),
            self._detections(preds, iou_type),
            iou_type,
            self.coco_classes,
            self.proposal_nums if recalls.keys() & set(items) else (),
            imgIds=self.img_ids,
            catIds=self.cat_ids,
            iouThrs=self.iou_thrs,
            useCats=int(metric != 'proposal'),
        )
        metrics = {f'{prefix}{item}': average[item] for item in items if item in average}
        rows[metric] = {item: average.get(item) for item in items}
        if self.classwise and metric != 'proposal':
            for category, values in zip(self._coco_api.load_cats(sorted(self.cat_ids)), by_category):
                rows[f'{metric} of {category["name"]}'] = {item: values.get(item) for item in items}
                if 'mAP' in values:
                    metrics[f'{category["name"]}_precision'] = values['mAP']
        return metrics

    def _ground_truth(self) -> dict:
        """Return the content of the annotation file; if it was written from the samples, with the areas of the masks."""
        dataset = self._coco_api.dataset
        if self.ann_file is not None:
            return dataset
        annotations = []
        for entry in dataset.get('annotations', []):
            image, mask = self._coco_api.imgs[entry['image_id']], entry.get('segmentation')
            # A mask of another size does not cover the pixels of the slice.
            known = mask is not None and mask['size'] == [image['height'], image['width']]
            annotations.append({**entry, 'area': float(coco_mask.area(mask))} if known else entry)
        return {**dataset, 'annotations': annotations}

    def _detections(self, preds: list[dict], iou_type: str) -> list[dict]:
        """Return the content of a COCO result file."""
        detections = []
        for pred in preds:
            scores = pred.get('mask_scores', pred['scores']) if iou_type == 'segm' else pred['scores']
            boxes = pred['bboxes'].astype(np.float64)
            boxes[:, 2:] -= boxes[:, :2]
            for index, (label, box, score) in enumerate(zip(pred['labels'].tolist(), boxes.tolist(), scores.tolist())):
                entry = dict(image_id=pred['img_id'], category_id=self.cat_ids[label], bbox=box, score=score)
                if iou_type == 'segm':
                    entry['segmentation'] = pred['masks'][index]
                detections.append(entry)
        return detections


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
