"""In-memory COCO evaluation with either of two implementations."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCOevalMP
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmaffinity.utils.optional import require

BACKENDS = ('auto', 'pycocotools', 'faster-coco-eval')
MAX_DETECTIONS = 100
# Index of COCOeval's area range: all, below 32^2, up to 96^2, above, in pixels.
AREA_ROWS = {'': 0, '_s': 1, '_m': 2, '_l': 3}
THRESHOLDS = {'_50': 0.5, '_75': 0.75}
AP_NAMES = tuple(f'mAP{suffix}' for suffix in (*AREA_ROWS, *THRESHOLDS))


def coco_classes(backend: str, use_mp_eval: bool = False) -> tuple[type, type]:
    """Return the classes COCO and COCOeval of a backend; see :class:`LesionCocoMetric`.

    Raises:
        ValueError: if the backend is unknown, not installed or cannot use several processes.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {BACKENDS}, not {backend!r}')
    if use_mp_eval and backend == 'faster-coco-eval':
        raise ValueError(f'use_mp_eval=True works with pycocotools only: leave it out, or backend={backend!r}')
    if use_mp_eval:
        return COCO, COCOevalMP
    if backend == 'pycocotools' or (backend == 'auto' and importlib.util.find_spec('faster_coco_eval') is None):
        return COCO, COCOeval
    module = require('faster_coco_eval', 'coco')
    return module.COCO, module.COCOeval_faster


def recall_rows(proposal_nums: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return the average recalls by name: number of boxes per image, and index of the area range."""
    largest = max(proposal_nums, default=0)
    by_size = {f'AR{suffix}@{largest}': (largest, row) for suffix, row in AREA_ROWS.items() if row and proposal_nums}
    return {**{f'AR@{number}': (number, 0) for number in proposal_nums}, **by_size}


def evaluate_coco(
    dataset: dict,
    detections: list[dict],
    iou_type: str,
    classes: tuple[type, type],
    proposal_nums: Sequence[int] = (),
    **params: Any,
) -> list[dict[str, float]]:
    """Run COCOeval and average its tables.

    Args:
        dataset: content of a COCO file.
        detections: content of a COCO result file.
        iou_type: 'bbox' or 'segm'.
        classes: classes from :func:`coco_classes`.
        proposal_nums: numbers of boxes per image for which to compute recalls; average precision uses 100.
        **params: attributes of COCOeval's ``params``.

    Returns:
        Averages over all categories, then those of each category in the order of their IDs. Each is a dict from the names in
        ``AP_NAMES`` and :func:`recall_rows` to values in [0, 1], without values that are undefined for lack of objects.

    Raises:
        ValueError: if masks are compared and an annotation has none.
    """
    coco_class, eval_class = classes
    # Copies, because COCOeval modifies its input. The defaults are for files of other tools.
    truth = [{'iscrowd': 0, 'area': _box_area(entry), **entry} for entry in dataset.get('annotations', [])]
    if iou_type == 'segm':
        for entry in truth:
            if not entry.get('segmentation'):
                raise ValueError(
                    f'annotation {entry["id"]} has no "segmentation", so mask overlaps cannot be computed: add it, or '
                    "remove 'segm' from metric"
                )
    # As in COCO's loadRes, the area of a prediction is that of its mask, not of its box.
    found = [
        {
            **entry,
            'id': number,
            'iscrowd': 0,
            'area': float(coco_mask.area(entry['segmentation'])) if iou_type == 'segm' else _box_area(entry),
        }
        for number, entry in enumerate(detections, start=1)
    ]
    cocos = [coco_class(), coco_class()]
    for coco, entries in zip(cocos, (truth, found)):
        coco.dataset = {**dataset, 'annotations': entries}
        coco.createIndex()
    evaluation = eval_class(*cocos, iou_type)
    for name, value in {**params, 'maxDets': sorted({MAX_DETECTIONS, *proposal_nums})}.items():
        setattr(evaluation.params, name, value)
    evaluation.evaluate()
    evaluation.accumulate()
    categories = range(evaluation.eval['recall'].shape[1])
    return [
        _averages(evaluation, proposal_nums, chosen) for chosen in (slice(None), *(slice(row, row + 1) for row in categories))
    ]


def _averages(evaluation: Any, proposal_nums: Sequence[int], categories: slice) -> dict[str, float]:
    params = evaluation.params
    # (IoU threshold, recall level, category, area range) and (IoU threshold, category, area range, number of boxes);
    # -1 where undefined.
    precision = evaluation.eval['precision'][:, :, categories, :, params.maxDets.index(MAX_DETECTIONS)]
    recall = evaluation.eval['recall'][:, categories]
    values = {f'mAP{suffix}': precision[..., row] for suffix, row in AREA_ROWS.items()}
    values.update(
        {f'mAP{suffix}': precision[np.isclose(params.iouThrs, threshold), ..., 0] for suffix, threshold in THRESHOLDS.items()}
    )
    values.update(
        {name: recall[..., row, params.maxDets.index(number)] for name, (number, row) in recall_rows(proposal_nums).items()}
    )
    # Rounded so that both backends return 1 for perfect detections: pycocotools' precision is low by the last bit.
    return {name: round(float(value[value > -1].mean()), 12) for name, value in values.items() if (value > -1).any()}


def _box_area(entry: dict) -> float:
    return entry['bbox'][2] * entry['bbox'][3]
