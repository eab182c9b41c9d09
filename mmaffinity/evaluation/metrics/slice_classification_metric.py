"""The metrics of slice classification, registered."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmaffinity.utils.files import whole_file
from mmaffinity.utils.wording import plural

from ..functional.classification import ClassificationReport, classification_report, confusion_matrix, format_report
from .lesion_samples import image_name, to_numpy


@METRICS.register_module()
class SliceClassificationMetric(BaseMetric):
    """Sensitivity, precision, specificity and F1 per class, class-adjusted F1 and accuracy of slices (Eqs. 10 to 12).

    Samples without a slice label are ignored, so one run may also contain lesion slices. The confusion matrix and the per-class
    table are logged.

    Args:
        class_names: names of the K classes; None means the data set's ``slice_classes``.
        class_weights: w(c) of the class-adjusted F1: 'share' for each class's share of the tested slices, or K numbers that sum
            to 1 (the published code has 0.45, 0.35, 0.20 for Normal, CP, COVID-19).
        out_file: JSON file for the predictions, with one record per slice as in ``predictions``; None writes no file.
        prefix: prefix of the returned keys; None means 'slice'.
        collect_device: 'cpu' or 'gpu', the device on which distributed results are collected.

    Attributes:
        predictions: after :meth:`evaluate`, in the main process, one dict per slice: img_path, patient_id, scan_id,
            label, pred (classes as numbers), scores, K probabilities, and logits, K values, if the model returns them.
        report: after :meth:`evaluate`, in the main process, the :class:`ClassificationReport`; None without slices.

    Raises:
        ValueError: if ``class_weights`` is a string other than 'share', or does not match ``class_names``.
    """

    default_prefix = 'slice'

    def __init__(
        self,
        class_names: Sequence[str] | None = None,
        class_weights: str | Sequence[float] = 'share',
        out_file: str | os.PathLike | None = None,
        prefix: str | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.class_names = None if class_names is None else tuple(class_names)
        self.class_weights = class_weights
        self.out_file = out_file
        self.predictions: list[dict] = []
        self.report: ClassificationReport | None = None
        # Report invalid names and weights now rather than at the end of an epoch. 'share' fits any number of classes.
        num_classes = len(class_names or ([0] if isinstance(class_weights, str) else class_weights))
        classification_report(np.eye(num_classes), class_names, class_weights)

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data set, set by the runner before testing."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict | None) -> None:
        classes = (dataset_meta or {}).get('slice_classes')
        expected = self.class_names if isinstance(self.class_weights, str) else self.class_weights
        if classes and expected is not None and len(expected) != len(classes):
            name = 'class_names' if expected is self.class_names else 'class_weights'
            raise ValueError(
                f'{name} of SliceClassificationMetric has {plural(len(expected), "entry")}, but the data set has '
                f'{plural(len(classes), "class")}: {list(classes)}'
            )
        self._dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store the labels and probabilities of a batch.

        Raises:
            ValueError: if a slice with a label was not classified, or its probabilities are not finite.
        """
        for sample in data_samples:
            # One entry per sample, including those of the other task: distributed padding is removed by counting entries.
            self.results.append(self._extract(sample) if sample.get('gt_slice') is not None else {})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the metrics over all slices.

        Returns:
            'f1' (class-adjusted), 'accuracy', and for every class 'sensitivity_<class>', 'precision_<class>',
            'specificity_<class>', 'f1_<class>', in [0, 1]; spaces and slashes in names become '_'. An undefined ratio (of a
            class without slices, or never predicted) has no entry, but a footnote in the log. Without labelled slices, the
            result is empty and a warning is logged.

        Raises:
            ValueError: if the class names are unknown, or the predictions do not match them.
        """
        logger = MMLogger.get_current_instance()
        self.predictions, self.report = [result for result in results if result], None
        if not self.predictions:
            logger.warning('No slices with a class label were tested, so there are no classification scores.')
            return {}
        names = self._names()
        for record in self.predictions:
            if len(record['scores']) != len(names):
                raise ValueError(
                    f'{record["img_path"]}: the model predicts {plural(len(record["scores"]), "probability")}, but '
                    f'the data set has {plural(len(names), "class")}: {list(names)}'
                )
            if not 0 <= record['label'] < len(names):
                raise ValueError(
                    f'{record["img_path"]}: label {record["label"]} is not one of the {len(names)} classes '
                    f'{list(names)}, numbered from 0'
                )
        confusion = confusion_matrix(
            [record['label'] for record in self.predictions], [record['pred'] for record in self.predictions], len(names)
        )
        self.report = classification_report(confusion, names, self.class_weights)
        logger.info('Slice classification\n' + format_report(self.report))
        if self.out_file is not None:
            _write_json(Path(self.out_file), self.predictions)
            logger.info(f'{plural(len(self.predictions), "prediction")} written to {self.out_file}')
        return self.report.as_dict()

    def _names(self) -> tuple[str, ...]:
        names = self.class_names or (self.dataset_meta or {}).get('slice_classes')
        if not names:
            raise ValueError(
                'the names of the slice classes are unknown: set class_names of '
                "SliceClassificationMetric, or 'slice_classes' in the metainfo of the data set"
            )
        return tuple(names)

    @staticmethod
    def _extract(sample: dict) -> dict:
        pred = sample.get('pred_slice')
        if pred is None:
            raise ValueError(
                f"{image_name(sample)}: the model predicted no 'pred_slice' for a slice with a class label. "
                'Test with a model and mode that classify slices, or remove SliceClassificationMetric '
                'from the evaluator'
            )
        scores = to_numpy(pred['score']).astype(np.float64).ravel()
        if not np.isfinite(scores).all():
            raise ValueError(f'{image_name(sample)}: the class probabilities must be finite numbers, not {scores.tolist()}')
        # Calibration and ranking use logits, which differ even where float32 probabilities are all 1.
        logits = to_numpy(pred['logits']).astype(np.float64).ravel().tolist() if pred.get('logits') is not None else None
        return dict(
            img_path=sample.get('img_path'),
            patient_id=sample.get('patient_id'),
            scan_id=sample.get('scan_id'),
            label=int(sample['gt_slice']['label']),
            pred=int(pred['label']),
            scores=scores.tolist(),
            **({} if logits is None else dict(logits=logits)),
        )


def _write_json(path: Path, records: list[dict]) -> None:
    lines = ',\n'.join(json.dumps(record) for record in records)
    with whole_file(path) as file:
        file.write(f'[\n{lines}\n]\n'.encode())
