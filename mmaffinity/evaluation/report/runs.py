"""Runs to compare: a model or an external system that classified or segmented a list of slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mmaffinity.utils.provenance import fingerprint
from mmaffinity.utils.wording import plural

from ..functional.classification import confusion_matrix


@dataclass(frozen=True)
class TestedList:
    """The tested slices: file names of the lists, number of slices, and a SHA-256 over the paths."""

    files: tuple[str, ...]
    num: int
    sha256: str

    @classmethod
    def of(cls, files: Sequence[str], paths: Sequence[str]) -> TestedList:
        """Describe the slices with these relative paths."""
        return cls(tuple(files), len(paths), fingerprint(paths))

    def __str__(self) -> str:
        return f'{", ".join(self.files)} ({plural(self.num, "slice")}, sha256 {self.sha256[:12]})'


class TestedConfig(NamedTuple):
    """The name of a config and the SHA-256 of its content."""

    name: str
    sha256: str


@dataclass
class Run:
    """The common part of classification and segmentation runs.

    Attributes:
        name: name of the run.
        tested: the tested list; None if there is only a confusion matrix.
        patients: N patients, each None if unknown; None if there is only a confusion matrix.
        source: path of the results file.
        checkpoint: SHA-256 of the weights, or their path if it is unknown, to match validation predictions.
        synthetic: whether the slices are of the phantom rather than CT.
        config: the tested config, which identifies runs that differ in the seed; None if its hash is unknown.
        fold_metrics: metrics by fold, if this run pools the folds of a cross-validation.
        parts: paths of the results files: one per fold, or a single one.
    """

    name: str
    _: KW_ONLY
    tested: TestedList | None = None
    patients: tuple[str | None, ...] | None = None
    source: str = ''
    checkpoint: str | None = None
    synthetic: bool = False
    config: TestedConfig | None = None
    fold_metrics: dict[int, dict[str, Any]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


@dataclass
class SliceRun(Run):
    """Classification of a list of slices by a model or an external system.

    Attributes:
        classes: K names.
        confusion: shape (K, K), rows true class.
        paths: N sorted relative paths; None, like the fields below, if there is only a confusion matrix.
        labels, predictions: true and predicted classes, shape (N,).
        scores: probabilities, shape (N, K); None if an external system has none.
        logits: shape (N, K), or None.
        scans: N scans, each None if unknown.
        external: whether this is an external system.
        notes: footnotes for every table with this run.
        validation: the same model's run on the validation split, or None.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    _: KW_ONLY
    paths: tuple[str, ...] | None = None
    labels: np.ndarray | None = None
    predictions: np.ndarray | None = None
    scores: np.ndarray | None = None
    logits: np.ndarray | None = None
    scans: tuple[str | None, ...] | None = None
    external: bool = False
    notes: tuple[str, ...] = ()
    validation: SliceRun | None = None


@dataclass
class LesionRun(Run):
    """Segmentation of a list of slices by a model.

    Attributes:
        ap: average precision of each slice at ten IoU thresholds, shape (N, 10).
        num_lesions: number of lesions in each slice, shape (N,).
        coco: COCO's own metrics by name.
    """

    ap: np.ndarray
    num_lesions: np.ndarray
    coco: dict[str, float] = field(default_factory=dict)


def make_slice_run(
    name: str, classes: Sequence[str], records: Sequence[dict], files: Sequence[str], source: str, **fields: object
) -> SliceRun:
    """Build a run from records of slices.

    Args:
        name: name of the run.
        classes: K names.
        records: one per slice: 'rel_path', 'label', 'pred' and, if known, 'scores', 'logits', 'patient_id' and 'scan_id'.
        files: file names of the tested lists.
        source: path of the results file, also for errors.
        **fields: further fields of :class:`SliceRun`.

    Raises:
        ValueError: if a slice occurs twice, a class is out of range, or scores or logits are invalid.
    """
    records = sorted(records, key=path_of)
    paths = tuple(map(path_of, records))
    if len(set(paths)) < len(paths):
        twice = next(a for a, b in zip(paths, paths[1:]) if a == b)
        raise ValueError(f'{source}: the slice {twice} occurs twice')
    labels, predictions = (np.array([record[key] for record in records], dtype=np.int64) for key in ('label', 'pred'))
    num_classes = len(classes)
    for what, values in (('label', labels), ('prediction', predictions)):
        if len(values) and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(f'{source}: a {what} is not one of the {num_classes} classes {", ".join(classes)}')
    return SliceRun(
        name,
        tuple(classes),
        confusion_matrix(labels, predictions, num_classes),
        tested=TestedList.of(files, paths),
        paths=paths,
        labels=labels,
        predictions=predictions,
        scores=_matrix(records, 'scores', num_classes, source),
        logits=_matrix(records, 'logits', num_classes, source),
        patients=tuple(record.get('patient_id') for record in records),
        scans=tuple(record.get('scan_id') for record in records),
        source=source,
        **fields,
    )


def path_of(record: Mapping[str, Any]) -> str:
    """Return the path of a slice's record, relative to the data root if that is known."""
    return str(record.get('rel_path') or record['img_path'])


def _matrix(records: Sequence[dict], key: str, num_classes: int, source: str) -> np.ndarray | None:
    rows = [record.get(key) for record in records]
    if any(row is None for row in rows):
        return None
    if any(len(row) != num_classes for row in rows):
        raise ValueError(f'{source}: {key} of a slice must be {num_classes} numbers, one per class; run the test again')
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f'{source}: {key} of a slice are not numbers ({error}); run the test again') from error
    wrong = ~np.isfinite(values) if key == 'logits' else ~((values >= 0) & (values <= 1))
    if wrong.any():
        index = int(wrong.any(1).argmax())
        kind = 'finite numbers' if key == 'logits' else 'probabilities, numbers from 0 to 1'
        raise ValueError(f'{source}: {key} of {path_of(records[index])} are {rows[index]}, not {kind}; run the test again')
    return values
