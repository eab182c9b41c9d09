"""Draw a model's predictions: affinities (Figure 4), lesions (Figure 6), attribution to RoIs."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmaffinity.evaluation.report.runs import path_of
from mmaffinity.models.cls_heads import roi_evidence
from mmaffinity.structures import SliceDataSample
from mmaffinity.visualization.affinity_maps import draw_affinity
from mmaffinity.visualization.evidence import draw_evidence
from mmaffinity.visualization.lesion_panels import LesionPanel, draw_lesion_panels
from mmaffinity.visualization.sample_arrays import sample_name, to_array, true_lesions

from .evaluated_model import EvaluatedModel

# Quantiles of AP: a good, a median and a bad slice.
LESION_QUANTILES = (0.9, 0.5, 0.1)


def model_affinities(models: Iterable[EvaluatedModel], slices: Sequence[str]) -> Figure:
    """Draw Y of some slices, one per row, at several checkpoints of a training run, one per column.

    Raises:
        ValueError: if a model has no affinity head, or its test set has no such slice.
    """
    columns = []
    for model in models:
        when = model.name if model.epoch is None else f'epoch {model.epoch}'
        column = []
        for path in slices:
            sample = model(model.index_of(path, 'classification')).sample
            title = f'{true_class_name(sample, model.class_names)}, {when}\n{sample_name(sample)}'
            column.append((title, to_array(_prediction(sample, 'affinity').affinity)))
        columns.append(column)
    panels = [column[row] for row in range(len(slices)) for column in columns]
    return draw_affinity([matrix for _, matrix in panels], [title for title, _ in panels], columns=len(columns))


def model_lesions(model: EvaluatedModel, slices: Sequence[str], score_thr: float = 0.5) -> Figure:
    """Draw slices with lesion annotations: boxes, scores and masks; sigmoid mask scores; ground truth.

    Raises:
        ValueError: if the model or the annotations have no masks, or the test set has no such slice.
    """
    panels = []
    for path in slices:
        image, sample = model(model.index_of(path, 'segmentation'), mask_scores=True)
        truth, found = true_lesions(sample, image.shape[:2]), sample.get('pred_instances')
        if found is None or truth is None or truth.masks is None:
            raise ValueError(f'this figure needs predicted and annotated masks, which {sample_name(sample)} lacks')
        title = sample_name(sample)
        if 'pred_slice' in sample:
            label = int(sample.pred_slice.label)
            title += f'\nclassified as {model.class_names[label] if model.class_names else label}'
        mask_scores = to_array(found.masks).astype(np.float64) / 255
        panels.append(LesionPanel(image, title, to_array(found.bboxes), to_array(found.scores), mask_scores, truth.masks))
    return draw_lesion_panels(panels, score_thr)


def model_evidence(model: EvaluatedModel, path: str) -> tuple[Figure, str]:
    """Draw the attribution of each class of a slice to its RoIs (:func:`roi_evidence`); also return its true class.

    Raises:
        ValueError: if the model has no affinity head, or its test set has no such slice.
    """
    image, sample = model(model.index_of(path, 'classification'))
    prediction, truth = _prediction(sample, 'roi_weights'), true_class_name(sample, model.class_names)
    head = model.model.roi_head.cls_head
    evidence = roi_evidence(head, prediction.roi_features, prediction.roi_weights)
    title = f'{sample_name(sample)}, truth: {truth}, predicted: {model.class_names[int(prediction.label)]}'
    boxes, given, rest = (to_array(value) for value in (prediction.roi_boxes, evidence.contributions, evidence.rest))
    return draw_evidence(image, boxes, given, rest, model.class_names, title, head.with_slice_roi), truth


def most_confident_slices(records: Sequence[dict]) -> list[str]:
    """Return, for each class, the correctly classified slice with the highest confidence; in a tie, the first by path.

    Args:
        records: tested slices, as in a results file.

    Raises:
        ValueError: if no slice is correctly classified.
    """
    best: dict[int, dict] = {}
    for record in sorted(records, key=path_of):
        label = record['pred']
        if label == record['label'] and (label not in best or record['scores'][label] > best[label]['scores'][label]):
            best[label] = record
    if not best:
        raise ValueError('no slice is correctly classified, so there is none to show')
    return [path_of(best[label]) for label in sorted(best)]


def typical_lesion_slices(records: Sequence[dict]) -> list[str]:
    """Return slices with lesions at the 90th, 50th and 10th percentile of mean AP, so that a figure also shows failures.

    Args:
        records: tested slices, as in a results file.

    Raises:
        ValueError: if no slice has lesions.
    """
    records = sorted(
        (record for record in records if record['num_gt']),
        key=lambda record: (float(np.mean(record['ap'])), record['img_path']),
    )
    if not records:
        raise ValueError('no slice with lesions was tested, so Figure 6 cannot be drawn')
    places = dict.fromkeys(round(quantile * (len(records) - 1)) for quantile in LESION_QUANTILES)
    return [path_of(records[place]) for place in places]


def true_class_name(sample: SliceDataSample, class_names: Sequence[str]) -> str:
    """Return the name of the annotated class, or 'unknown'."""
    return class_names[int(sample.gt_slice.label)] if 'gt_slice' in sample else 'unknown'


def _prediction(sample: SliceDataSample, field: str) -> Any:
    if 'pred_slice' not in sample or field not in sample.pred_slice:
        raise ValueError('this figure needs a model with an affinity head (AffinityClsHead)')
    return sample.pred_slice
