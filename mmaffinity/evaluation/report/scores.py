"""Scores of a run with intervals, and the samples needed to compare runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..functional.aggregation import Aggregate, aggregate
from ..functional.bootstrap import Estimate, Resampler, interval
from ..functional.calibration import Reliability, calibrated, fit_temperature, logits_of, reliability, resampled_ece
from ..functional.classification import confusion_matrix
from ..functional.confusion_scores import confusion_scores
from ..functional.ranking_scores import ranking_scores, resampled_ranking_scores
from .runs import LesionRun, SliceRun

PER_CLASS = ('sensitivity', 'precision', 'specificity', 'f1_per_class')
OVERALL = ('f1', 'accuracy', 'balanced_accuracy', 'mcc')


@dataclass
class Scores:
    """Scores of a run.

    Attributes:
        estimates: estimates by metric, such as 'f1' or 'sensitivity/COVID-19'.
        samples: values in each resample by metric, shape (B,), for paired differences.
        units: kind of the resampled units, such as 'patients'.
        num_units: number of units.
    """

    estimates: dict[str, Estimate] = field(default_factory=dict)
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    units: str = 'slices'
    num_units: int = 0

    def add(self, metric: str, value: float | None, samples: np.ndarray, undefined: str | None = None) -> None:
        self.samples[metric] = samples
        self.estimates[metric] = interval(value, samples, self.num_units, self.units, undefined)

    def add_of_class(
        self, metric: str, value: float | None, samples: np.ndarray, units_of_class: int, undefined: str | None = None
    ) -> None:
        """Like :meth:`add`, but without an interval if all slices of the class belong to one unit.

        Each resample then contains that unit or nothing of the class, so the interval would be a point and suggest certainty.
        """
        self.add(metric, value, samples, undefined)
        if value is not None and np.isfinite(value) and units_of_class < 2 <= self.num_units:
            self.estimates[metric] = Estimate(
                float(value), note=f'no interval: all slices of the class belong to one of the {self.units}'
            )

    def without_probabilities(self, run: SliceRun) -> None:
        """State for each metric of ranking and calibration that the run has no probabilities."""
        ranking = [f'{metric}/{name}' for name in run.classes for metric in ('roc_auc', 'average_precision')]
        missing = Estimate(None, note=f'needs a probability for each class, which {run.name} does not provide')
        self.estimates.update(dict.fromkeys([*ranking, 'ece', 'ece_calibrated'], missing))


@dataclass
class Calibration:
    """Calibration of a run's confidence.

    Attributes:
        raw, after: reliability before and after the temperature; ``after`` is None without validation predictions.
        temperature: fitted on the validation split; None without it.
        num_validation: number of slices it was fitted on.
    """

    raw: Reliability
    after: Reliability | None = None
    temperature: float | None = None
    num_validation: int = 0


def lesion_scores(run: LesionRun, num_resamples: int, seed: int) -> Scores:
    """Compute AP50, AP75 and mAP, means over the images; a resampled patient contributes all its images."""
    resampler = Resampler.of(run.patients, num_resamples, seed)
    columns = np.column_stack([run.ap[:, 0], run.ap[:, 5], run.ap.mean(1), np.ones(len(run.ap))])
    sums = resampler.sums(columns)
    scores = Scores(units=resampler.kind, num_units=resampler.num_units)
    for index, metric in enumerate(('AP50', 'AP75', 'mAP')):
        scores.add(metric, float(columns[:, index].mean()), sums[:, index] / sums[:, 3])
    return scores


def slice_scores(
    run: SliceRun, num_resamples: int, seed: int, class_weights: str | Sequence[float] = 'share'
) -> tuple[Scores, Calibration | None]:
    """Compute all scores of a classification run, and its calibration if it has probabilities."""
    if run.labels is None:
        return _matrix_scores(run, num_resamples, seed, class_weights), None
    resampler = Resampler.of(run.patients, num_resamples, seed)
    scores = Scores(units=resampler.kind, num_units=resampler.num_units)
    spread = _units_of_classes(run.labels, len(run.classes), resampler)
    _add_confusion_scores(
        scores,
        run.classes,
        run.confusion,
        _resampled_confusions(run.labels, run.predictions, len(run.classes), resampler),
        class_weights,
        spread,
    )
    if run.scores is None:
        scores.without_probabilities(run)
        return scores, None
    for index, name in enumerate(run.classes):
        positive = run.labels == index
        # Logits rank confident slices whose float32 probabilities are all 1.
        ranking = (run.scores if run.logits is None else run.logits)[:, index]
        values = ranking_scores(ranking, positive)
        samples = resampled_ranking_scores(ranking, positive, resampler)
        why = f'every slice is {name}' if positive.all() else f'no slice is {name}'
        for metric, value, sample in zip(('roc_auc', 'average_precision'), values, samples):
            scores.add_of_class(f'{metric}/{name}', value, sample, spread[index], why)
    return scores, _calibrate(run, scores, resampler)


def aggregate_scores(
    run: SliceRun, units: Sequence[str], num_resamples: int, seed: int, class_weights: str | Sequence[float] = 'share'
) -> tuple[dict[str, Scores], Aggregate]:
    """Compute scores by scan or patient, with the rules 'mean probability' (if available) and 'share of slices'."""
    joined = aggregate(units, run.labels, run.predictions, len(run.classes), run.scores)
    found: dict[str, Scores] = {}
    if not joined.units:
        return found, joined
    resampler = Resampler.of([run.patients[index] for index in joined.first], num_resamples, seed)
    spread = _units_of_classes(joined.labels, len(run.classes), resampler)
    rules = [('share of slices', joined.by_share, joined.shares)]
    if joined.mean_scores is not None:
        rules.insert(0, ('mean probability', joined.mean_scores.argmax(1), joined.mean_scores))
    for rule, predictions, evidence in rules:
        scores = Scores(units=resampler.kind, num_units=resampler.num_units)
        _add_confusion_scores(
            scores,
            run.classes,
            confusion_matrix(joined.labels, predictions, len(run.classes)),
            _resampled_confusions(joined.labels, predictions, len(run.classes), resampler),
            class_weights,
            spread,
        )
        for index, name in enumerate(run.classes):
            positive = joined.labels == index
            value, _ = ranking_scores(evidence[:, index], positive)
            samples, _ = resampled_ranking_scores(evidence[:, index], positive, resampler)
            scores.add_of_class(f'roc_auc/{name}', value, samples, spread[index], f'either none of them is {name}, or all are')
        found[rule] = scores
    return found, joined


def _units_of_classes(labels: np.ndarray, num_classes: int, resampler: Resampler) -> list[int]:
    """Return the number of units with slices of each class."""
    return [len(np.unique(resampler.unit_of[labels == label])) for label in range(num_classes)]


def _resampled_confusions(labels: np.ndarray, predictions: np.ndarray, num_classes: int, resampler: Resampler) -> np.ndarray:
    """Return the confusion matrix of each resample, shape (B, K, K)."""
    cells = (labels * num_classes + predictions)[:, None] == np.arange(num_classes**2)
    return resampler.sums(cells).reshape(-1, num_classes, num_classes)


def _matrix_scores(run: SliceRun, num_resamples: int, seed: int, class_weights: str | Sequence[float]) -> Scores:
    """Compute scores of a confusion matrix; resampling its slices means drawing its cells from a multinomial distribution."""
    total, shape = int(run.confusion.sum()), run.confusion.shape
    drawn = np.random.default_rng(seed).multinomial(total, run.confusion.ravel() / total, size=num_resamples)
    scores = Scores(units='slices', num_units=total)
    _add_confusion_scores(scores, run.classes, run.confusion, drawn.reshape(-1, *shape), class_weights, run.confusion.sum(1))
    scores.without_probabilities(run)
    # The draws of two matrices are not the same slices, so they cannot be paired.
    scores.samples.clear()
    return scores


def _add_confusion_scores(
    scores: Scores,
    classes: Sequence[str],
    confusion: np.ndarray,
    resampled: np.ndarray,
    class_weights: str | Sequence[float],
    spread: Sequence[int],
) -> None:
    values, samples = confusion_scores(confusion, class_weights), confusion_scores(resampled, class_weights)
    for metric in OVERALL:
        scores.add(metric, float(values[metric]), samples[metric])
    truth = confusion.sum(1)
    for metric in PER_CLASS:
        for index, name in enumerate(classes):
            why = {
                'sensitivity': f'{name} has no slice' if not truth[index] else None,
                'precision': f'{name} is never predicted',
                'specificity': f'every slice is {name}',
                'f1_per_class': f'{name} neither occurs nor is predicted; it counts as 0 in the class-adjusted F1',
            }
            add = scores.add if metric != 'sensitivity' else partial(scores.add_of_class, units_of_class=spread[index])
            add(f'{metric}/{name}', float(values[metric][index]), samples[metric][:, index], undefined=why[metric])


def _calibrate(run: SliceRun, scores: Scores, resampler: Resampler) -> Calibration:
    correct = run.predictions == run.labels
    places = np.arange(len(run.labels)), run.predictions
    confidence = run.scores[places]
    result = Calibration(reliability(confidence, correct))
    scores.add('ece', result.raw.ece, resampled_ece(confidence, correct, resampler))
    validation = run.validation
    if validation is None or validation.scores is None:
        scores.estimates['ece_calibrated'] = Estimate(
            None,
            note=f'{run.name}: no temperature, because the work directory has no validation '
            'predictions (mmaffinity test --split val --out WORK_DIR/results_val.json, if the data set has a '
            'validation split)',
        )
        return result
    logits = logits_of(validation.scores) if validation.logits is None else validation.logits
    result.temperature = fit_temperature(logits, validation.labels)
    result.num_validation = len(validation.labels)
    own = logits_of(run.scores) if run.logits is None else run.logits
    confidence = calibrated(own, result.temperature)[places]
    result.after = reliability(confidence, correct)
    scores.add('ece_calibrated', result.after.ece, resampled_ece(confidence, correct, resampler))
    return result
