"""Metrics of slice classification: confusion matrix, sensitivity, precision, specificity, class-adjusted F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmaffinity.utils.tables import format_table
from mmaffinity.utils.wording import plural

from .confusion_scores import confusion_scores

SHARE = 'share'
UNDEFINED = 'undefined'


@dataclass(frozen=True)
class ClassificationReport:
    """Scores of a confusion matrix of K classes. Ratios are in [0, 1], or None if the denominator is 0.

    * ``sensitivity`` TP / (TP + FN), Eq. 10 with its misprint corrected; None for a class without slices. For the
      class Normal, the paper calls it the true negative rate;
    * ``precision`` TP / (TP + FP); None for a class that is never predicted;
    * ``specificity`` TN / (TN + FP); None if every slice is of that class;
    * ``f1_per_class`` 2 TP / (2 TP + FP + FN), the harmonic mean of precision and sensitivity, where an undefined ratio
      counts as 0; None for a class that neither occurs nor is predicted;
    * ``f1`` the class-adjusted F1, the sum of w(c) F1(c) (Eq. 12), in which an undefined F1(c) counts as 0;
    * ``accuracy`` the share of correct slices.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    class_weights: tuple[float, ...]
    sensitivity: tuple[float | None, ...]
    precision: tuple[float | None, ...]
    specificity: tuple[float | None, ...]
    f1_per_class: tuple[float | None, ...]
    f1: float
    accuracy: float

    def as_dict(self) -> dict[str, float]:
        """Return 'f1', 'accuracy', 'sensitivity_<class>' and so on in one dictionary, without undefined ratios."""
        numbers = {'f1': self.f1, 'accuracy': self.accuracy}
        for name, values in (
            ('sensitivity', self.sensitivity),
            ('precision', self.precision),
            ('specificity', self.specificity),
            ('f1', self.f1_per_class),
        ):
            numbers.update(
                {
                    f'{name}_{_key(class_name)}': value
                    for class_name, value in zip(self.class_names, values)
                    if value is not None
                }
            )
        return numbers

    def notes(self) -> list[str]:
        """Return a footnote for every undefined ratio."""
        sentences = []
        for name, truth, predicted in zip(self.class_names, self.confusion.sum(axis=1), self.confusion.sum(axis=0)):
            if truth == 0:
                sentences.append(f'{name}: no slices of this class, so its sensitivity is undefined.')
            if predicted == 0:
                sentences.append(f'{name}: never predicted, so its precision is undefined (0 in F1).')
            if truth == 0 and predicted == 0:
                sentences.append(f'{name}: its F1 is undefined and counts as 0 in the class-adjusted F1.')
            if truth == self.confusion.sum():
                sentences.append(f'{name}: every slice is of this class, so its specificity is undefined.')
        return sentences


def confusion_matrix(labels: Sequence[int], predictions: Sequence[int], num_classes: int) -> np.ndarray:
    """Count slices by true class (rows) and predicted class (columns).

    Args:
        labels: N true classes, each in 0 .. K - 1.
        predictions: N predicted classes.
        num_classes: K.

    Returns:
        Shape (K, K), int64.

    Raises:
        ValueError: if the lists differ in length or contain a class outside 0 .. K - 1.
    """
    labels, predictions = np.asarray(labels).ravel(), np.asarray(predictions).ravel()
    if len(labels) != len(predictions):
        raise ValueError(f'{plural(len(labels), "label")}, but {plural(len(predictions), "prediction")}')
    for name, classes in (('label', labels), ('prediction', predictions)):
        wrong = classes[(classes < 0) | (classes >= num_classes) | (classes != np.floor(classes))]
        if wrong.size:
            raise ValueError(f'{name} {wrong[0]} is not one of the {num_classes} classes 0 .. {num_classes - 1}')
    pairs = labels.astype(np.int64) * num_classes + predictions.astype(np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def classification_report(
    confusion: np.ndarray, class_names: Sequence[str] | None = None, class_weights: str | Sequence[float] = SHARE
) -> ClassificationReport:
    """Compute sensitivity, precision, specificity, F1 and accuracy from a confusion matrix (Eqs. 10 to 12).

    Args:
        confusion: shape (K, K), rows true class, columns predicted class.
        class_names: K names; None means numbers.
        class_weights: w(c) of the class-adjusted F1: 'share' for each class's share of the slices, or K fixed numbers that sum
            to 1; the published code has 0.45, 0.35, 0.20 for Normal, CP, COVID-19.

    Raises:
        ValueError: if the matrix is not square, is empty, or contains anything but counts, or if names or weights do not
            match it.
    """
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f'a confusion matrix must have shape (classes, classes), not {counts.shape}')
    if (
        counts.dtype.kind not in 'iuf'
        or not np.isfinite(counts).all()
        or (counts < 0).any()
        or (counts != np.floor(counts)).any()
    ):
        raise ValueError(f'a confusion matrix must contain counts of slices, not {counts.tolist()}')
    if not counts.sum():
        raise ValueError('the confusion matrix contains no slices, so there is nothing to score')
    counts = counts.astype(np.int64)
    names = _check_names(class_names, len(counts))
    weights = check_weights(class_weights, counts.sum(axis=1))
    scores = confusion_scores(counts, weights)
    per_class = {
        name: tuple(None if np.isnan(value) else value for value in scores[name].tolist())
        for name in ('sensitivity', 'precision', 'specificity', 'f1_per_class')
    }
    return ClassificationReport(names, counts, weights, **per_class, f1=float(scores['f1']), accuracy=float(scores['accuracy']))


def format_confusion_matrix(confusion: np.ndarray, class_names: Sequence[str] | None = None) -> str:
    """Return a confusion matrix as a text table, rows true class, columns predicted class, with sums."""
    counts = np.asarray(confusion)
    names = _check_names(class_names, len(counts))
    rows = [[name, *(f'{count:d}' for count in row), f'{sum(row):d}'] for name, row in zip(names, counts.tolist())]
    rows.append(['all', *(f'{count:d}' for count in counts.sum(axis=0).tolist()), f'{int(counts.sum()):d}'])
    return format_table(['truth \\ predicted', *names, 'all'], rows)


def format_report(report: ClassificationReport) -> str:
    """Return the confusion matrix, a per-class table in percent, the overall scores and footnotes as text."""
    rows = [
        [name, *(UNDEFINED if value is None else f'{100 * value:.2f}' for value in values), f'{weight:.4f}']
        for name, *values, weight in zip(
            report.class_names,
            report.sensitivity,
            report.precision,
            report.specificity,
            report.f1_per_class,
            report.class_weights,
        )
    ]
    parts = [
        format_confusion_matrix(report.confusion, report.class_names),
        '',
        format_table(['class', 'sensitivity %', 'precision %', 'specificity %', 'F1 %', 'weight in F1'], rows),
        '',
        f'class-adjusted F1 {100 * report.f1:.2f} %, accuracy {100 * report.accuracy:.2f} % '
        f'({int(np.diag(report.confusion).sum())} of {plural(int(report.confusion.sum()), "slice")})',
    ]
    return '\n'.join(parts + report.notes())


def _key(class_name: str) -> str:
    # '/' separates a metric's prefix from its name.
    return '_'.join(class_name.replace('/', ' ').split())


def _check_names(class_names: Sequence[str] | None, num_classes: int) -> tuple[str, ...]:
    names = tuple(class_names) if class_names is not None else tuple(str(index) for index in range(num_classes))
    if len(names) != num_classes:
        raise ValueError(f'{plural(num_classes, "class")}, but {plural(len(names), "class name")}: {list(names)}')
    if len({_key(name) for name in names}) < len(names):
        raise ValueError(f'class names must be distinct, not {list(names)}')
    return names


def check_weights(class_weights: str | Sequence[float], truth: np.ndarray) -> tuple[float, ...]:
    """Return the weight of each class.

    Args:
        class_weights: as for :func:`classification_report`.
        truth: slices of each class, shape (K,).

    Raises:
        ValueError: if the weights are another string, or not K numbers of at least 0 that sum to 1.
    """
    if isinstance(class_weights, str):
        if class_weights != SHARE:
            raise ValueError(f"class_weights must be '{SHARE}' or one number per class, not '{class_weights}'")
        return tuple((truth / truth.sum()).tolist())
    weights = np.asarray(class_weights, dtype=np.float64)
    if weights.shape != truth.shape:
        raise ValueError(f'{plural(len(truth), "class")} must have as many class weights, not {list(class_weights)}')
    if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
        raise ValueError(f'class weights must be at least 0 and sum to 1, not {list(class_weights)}')
    return tuple(weights.tolist())
