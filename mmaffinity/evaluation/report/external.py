"""Loading of external systems from their published results."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from mmaffinity.utils.wording import plural

from .runs import SliceRun, make_slice_run

Number = TypeVar('Number', int, float)


def load_external(name: str, file: str | Path, known: Sequence[SliceRun]) -> SliceRun:
    """Read a published confusion matrix or a list of predictions.

    Three formats are supported:

    * JSON ``{"classes": ["Normal", ...], "confusion": [[...], ...], "source": "where it was published"}``;
    * CSV of a confusion matrix: the header is ``truth`` and the classes, each row a true class and its counts;
    * CSV of predictions: columns ``img_path`` (relative to the data root, as in the lists) and ``pred`` (class name), and
      optionally ``score_<class>`` for every class. Classes and labels come from the run in the report that was tested on the
      same slices.

    Args:
        name: name of the system in the report.
        file: the file.
        known: the report's own runs.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it has none of these formats, or no run in the report was tested on its slices.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f'the file {file} of the external system {name} does not exist: correct the path')
    try:
        if file.suffix.lower() == '.json':
            content = json.loads(file.read_text(encoding='utf-8'))
            return _from_matrix(name, content['classes'], content['confusion'], file, content.get('source'))
        with open(file, newline='', encoding='utf-8-sig') as stream:
            rows = [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
        header = [cell.strip() for cell in rows[0]]
        if header[0].lower() == 'truth':
            names = [row[0].strip() for row in rows[1:]]
            if sorted(names) != sorted(header[1:]):
                raise ValueError(
                    f'{file}: the rows are {names}, the columns {header[1:]}; each class must have one row and one column'
                )
            body = {name: [_number(int, cell, file) for cell in row[1:]] for name, row in zip(names, rows[1:])}
            return _from_matrix(name, header[1:], [body[label] for label in header[1:]], file)
        return _from_predictions(name, [dict(zip(header, row)) for row in rows[1:]], file, known)
    except (KeyError, IndexError, TypeError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(
            f'{file} is neither a confusion matrix nor a list of predictions ({type(error).__name__}: '
            f'{error}); docs/report.md shows both formats'
        ) from error


def _number(kind: Callable[[str], Number], cell: str, file: Path) -> Number:
    try:
        return kind(cell)
    except ValueError as error:
        what = 'whole number' if kind is int else 'number'
        raise ValueError(f'{file}: {cell.strip()!r} is not a {what}') from error


def _from_matrix(
    name: str, classes: Sequence[str], confusion: Sequence[Sequence[int]], file: Path, published: str | None = None
) -> SliceRun:
    if isinstance(classes, str) or len(set(classes)) < len(classes) or not all(isinstance(label, str) for label in classes):
        raise ValueError(f'{file}: classes must be a list of distinct names, not {classes!r}')
    try:
        matrix = np.array(confusion)
    except ValueError:  # rows of different lengths
        matrix = np.empty(0)
    if matrix.shape != (len(classes), len(classes)) or matrix.dtype.kind not in 'iu' or (matrix < 0).any() or not matrix.sum():
        raise ValueError(
            f'{file}: a confusion matrix of the classes {list(classes)} must have {len(classes)} x '
            f'{len(classes)} counts of slices, not {confusion}'
        )
    note = (
        f'{name}: published confusion matrix'
        + (f' ({published})' if published else '')
        + '; its intervals are over slices, because it does not identify patients, and metrics that require probabilities are '
        'unavailable.'
    )
    return SliceRun(name, tuple(classes), matrix.astype(np.int64), external=True, source=str(file), notes=(note,))


def _from_predictions(name: str, rows: Sequence[dict], file: Path, known: Sequence[SliceRun]) -> SliceRun:
    predicted = {row['img_path'].strip(): row for row in rows}
    if len(predicted) < len(rows):
        raise ValueError(f'{file}: a slice is listed twice; remove the repeated rows')
    for run in known:
        if set(run.paths or ()) == set(predicted):
            break
    else:
        near = max(known, key=lambda run: len(set(run.paths or ()) & set(predicted)), default=None)
        missing = (
            ''
            if near is None
            else f'; the list of {near.name}, {near.tested}, contains {len(set(near.paths) & set(predicted))} of them'
        )
        raise ValueError(f'{file}: no run in the report was tested on the {plural(len(predicted), "slice")} of {name}{missing}')
    numbers = {label: number for number, label in enumerate(run.classes)}
    columns = [f'score_{label}' for label in run.classes]
    scored = all(column in rows[0] for column in columns)
    records = []
    for path, label, patient, scan in zip(run.paths, run.labels, run.patients, run.scans):
        row = predicted[path]
        if row['pred'].strip() not in numbers:
            raise ValueError(f'{file}: the prediction {row["pred"]!r} for {path} is not one of {list(run.classes)}')
        record = dict(rel_path=path, label=int(label), pred=numbers[row['pred'].strip()], patient_id=patient, scan_id=scan)
        if scored:
            record['scores'] = [_number(float, row[column], file) for column in columns]
            if not all(0 <= score <= 1 for score in record['scores']):
                raise ValueError(f'{file}: the scores for {path} are not probabilities: {record["scores"]}')
        records.append(record)
    return make_slice_run(
        name,
        run.classes,
        records,
        run.tested.files,
        str(file),
        external=True,
        notes=(f'{name}: external system, scored from the predictions in {file.name}.',),
    )
