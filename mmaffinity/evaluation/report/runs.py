"""Finished runs, from ``mmaffinity test --out``, and external systems."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mmaffinity.evaluation.functional import IOU_THRESHOLDS
from mmaffinity.utils.provenance import fingerprint
from mmaffinity.utils.wording import plural

from .folds import Entry, pool_folds

RESULTS = 'results*.json'
Run = TypeVar('Run')


@dataclass(frozen=True)
class TestedList:
    """The tested slices: file names of the lists, number of slices, and a SHA-256 over the sorted paths."""

    files: tuple[str, ...]
    num: int
    sha256: str

    def __str__(self) -> str:
        return f'{", ".join(self.files)} ({plural(self.num, "slice")}, sha256 {self.sha256[:12]})'


class TestedConfig(NamedTuple):
    """Name of a config, and SHA-256 of its content."""

    name: str
    sha256: str


@dataclass
class SliceRun:
    """Classification of a list of slices by one model, or an external system.

    Attributes:
        name: name of the run.
        classes: K names.
        confusion: shape (K, K), rows truth.
        tested: the list; None if there is only a confusion matrix.
        paths: N sorted relative paths; None, like the fields below, if there is only a confusion matrix.
        labels, predictions: shape (N,).
        scores: probabilities, shape (N, K); None if an external system has none.
        logits: shape (N, K), or None.
        patients, scans: N names, or None if unknown.
        external: whether this is an external system.
        source: file.
        checkpoint: SHA-256 of the weights, or their path if it is unknown, to match the validation predictions.
        notes: footnotes for every table with this run.
        validation: the same model on the validation split, or None.
        synthetic: whether the slices belong to the phantom rather than CT.
        config: the tested config, which identifies runs with several seeds; None if its hash is unknown.
        fold_metrics: metrics by fold, if this run pools the folds of a cross-validation.
        parts: files of the folds, or the one file of a run without folds.
    """

    name: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    tested: TestedList | None = None
    paths: tuple[str, ...] | None = None
    labels: np.ndarray | None = None
    predictions: np.ndarray | None = None
    scores: np.ndarray | None = None
    logits: np.ndarray | None = None
    patients: tuple[str | None, ...] | None = None
    scans: tuple[str | None, ...] | None = None
    external: bool = False
    source: str = ''
    checkpoint: str | None = None
    notes: tuple[str, ...] = ()
    validation: SliceRun | None = None
    synthetic: bool = False
    config: TestedConfig | None = None
    fold_metrics: dict[int, dict[str, Any]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


@dataclass
class LesionRun:
    """Segmentation of a list of slices by one model.

    Attributes:
        name: name of the run.
        ap: average precision per slice at ten IoU thresholds, shape (N, 10).
        tested: the list.
        patients: N names, or None if unknown.
        num_lesions: number of lesions in each slice, shape (N,).
        coco: COCO's own metrics by name.
        source: file.
        synthetic: whether the slices belong to the phantom rather than CT.
        config, checkpoint, fold_metrics, parts: as for :class:`SliceRun`.
    """

    name: str
    ap: np.ndarray
    tested: TestedList
    patients: tuple[str | None, ...]
    num_lesions: np.ndarray
    coco: dict[str, float] = field(default_factory=dict)
    source: str = ''
    synthetic: bool = False
    config: TestedConfig | None = None
    checkpoint: str | None = None
    fold_metrics: dict[int, dict[str, Any]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


def load_runs(places: Sequence[str | Path]) -> tuple[list[SliceRun], list[LesionRun], list[str]]:
    """Read the results of finished runs.

    Args:
        places: working folders, each with one or several ``results*.json``, or the files themselves. Results on the validation
            split are joined with those of the same checkpoint on the test split. Several results of a folder on one list
            are distinguished by file name. The folds of a cross-validation become one run.

    Returns:
        Classifications, segmentations, and notes on what was left out.

    Raises:
        FileNotFoundError: if a folder or file does not exist, or a folder has no results.
        ValueError: if a file was not written by ``mmaffinity test --out``, or is given twice.
    """
    slices, lesions, validation = [], [], []
    files = [(place, file) for place in map(Path, places) for file in _result_files(place)]
    _check_once([file for _, file in files])
    names = _names([place for place, _ in files])
    entries, notes = pool_folds([Entry(names[place], _read(file), file) for place, file in files])
    for name, content, file in entries:
        if content.get('split', 'test') == 'val':
            if content['slices']:
                validation.append(_read_run(_slice_run, name, content, file))
            continue
        if content['slices']:
            slices.append(_read_run(_slice_run, name, content, file))
        if content['lesions']:
            lesions.append(_read_run(_lesion_run, name, content, file))
        if not content['slices'] and not content['lesions']:
            notes.append(f'{file} contains no tested slices and is left out.')
    _tell_apart(slices, lesions)
    for run in validation:
        partners = [test for test in slices if test.checkpoint == run.checkpoint and test.classes == run.classes]
        for test in partners:
            test.validation = run
        if not partners:
            notes.append(
                f'{run.source}: the report has no test results of the same checkpoint, '
                'so these validation predictions are not used.'
            )
    for run in slices:
        shared = set(run.paths) & set(run.validation.paths) if run.validation else ()
        if shared:
            raise ValueError(
                f'{run.name}: {plural(len(shared), "slice", "is")} in both its test list and its validation list, '
                f'such as {min(shared)} ({run.source}, {run.validation.source}); a temperature fitted on test '
                'slices would make the calibration look too good'
            )
    return slices, lesions, notes


def make_slice_run(
    name: str, classes: Sequence[str], records: Sequence[dict], files: Sequence[str], source: str, **fields: object
) -> SliceRun:
    """Build a run from one record per slice: 'rel_path', 'label', 'pred' and, if known, 'scores', 'logits', 'patient_id' and
    'scan_id'.

    Raises:
        ValueError: if a slice occurs twice or a class is unknown.
    """
    records = sorted(records, key=lambda record: _path(record))
    paths = tuple(_path(record) for record in records)
    if len(set(paths)) < len(paths):
        twice = next(a for a, b in zip(paths, paths[1:]) if a == b)
        raise ValueError(f'{source}: the slice {twice} occurs twice')
    labels, predictions = (np.array([record[key] for record in records], dtype=np.int64) for key in ('label', 'pred'))
    num_classes = len(classes)
    for what, values in (('label', labels), ('prediction', predictions)):
        if len(values) and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(f'{source}: a {what} is not one of the {num_classes} classes {", ".join(classes)}')
    confusion = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return SliceRun(
        name,
        tuple(classes),
        confusion.reshape(num_classes, num_classes),
        TestedList(tuple(files), len(paths), fingerprint(paths)),
        paths,
        labels,
        predictions,
        _matrix(records, 'scores', num_classes, source),
        _matrix(records, 'logits', num_classes, source),
        tuple(record.get('patient_id') for record in records),
        tuple(record.get('scan_id') for record in records),
        source=source,
        **fields,
    )


def _read_run(read: Callable[[str, dict, Path], Run], name: str, content: dict, file: Path) -> Run:
    try:
        return read(name, content, file)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f'{file} was not written by mmaffinity test --out, or is damaged ({type(error).__name__} in its '
            f'records: {error}); run the test again'
        ) from error


def _slice_run(name: str, content: dict, file: Path) -> SliceRun:
    records = content['slices']
    classes = content['slice_classes'] or [str(k) for k in range(len(records[0]['scores']))]
    files = content.get('lists', {}).get('classification', {}).get('ann_files') or ['unnamed list']
    return make_slice_run(
        name,
        classes,
        records,
        files,
        str(file),
        checkpoint=_checkpoint(content),
        synthetic=_synthetic(content, 'classification'),
        config=_config(content),
        fold_metrics=content.get('fold_metrics', {}),
        parts=tuple(content.get('parts', [str(file)])),
    )


def _lesion_run(name: str, content: dict, file: Path) -> LesionRun:
    records = sorted(content['lesions'], key=_path)
    paths = tuple(_path(record) for record in records)
    files = content.get('lists', {}).get('segmentation', {}).get('ann_files') or ['unnamed list']
    # COCO's own code writes -1 for an undefined AP.
    coco = {
        key: value
        for key, value in content.get('metrics', {}).items()
        if 'coco' in key
        and key.rsplit('/')[-1] in ('segm_mAP', 'segm_mAP_50', 'segm_mAP_75')
        and isinstance(value, (int, float))
        and np.isfinite(value)
        and value >= 0
    }
    for record in records:
        if len(record['ap']) != len(IOU_THRESHOLDS) or not np.isfinite(np.array(record['ap'], np.float64)).all():
            raise ValueError(
                f'{file}: ap of {_path(record)} is {record["ap"]!r:.80}, not {len(IOU_THRESHOLDS)} numbers, one '
                'for each IoU threshold; run the test again'
            )
    return LesionRun(
        name,
        np.array([record['ap'] for record in records], np.float64),
        TestedList(tuple(files), len(paths), fingerprint(paths)),
        tuple(record.get('patient_id') for record in records),
        np.array([record['num_gt'] for record in records]),
        {key.rsplit('/')[-1]: value for key, value in coco.items()},
        str(file),
        _synthetic(content, 'segmentation'),
        _config(content),
        _checkpoint(content),
        content.get('fold_metrics', {}),
        tuple(content.get('parts', [str(file)])),
    )


def _synthetic(content: dict, task: str) -> bool:
    return bool(content.get('lists', {}).get(task, {}).get('synthetic', False))


def _config(content: dict) -> TestedConfig | None:
    digest = content.get('config_sha256')
    return TestedConfig(Path(str(content.get('config') or 'config')).stem, str(digest)) if digest else None


def _checkpoint(content: dict) -> str | None:
    return content.get('checkpoint_sha256') or content.get('checkpoint')


def _path(record: dict) -> str:
    return str(record.get('rel_path') or record['img_path'])


def _matrix(records: Sequence[dict], key: str, num_classes: int, source: str) -> np.ndarray | None:
    rows = [record.get(key) for record in records]
    if any(row is None for row in rows):
        return None
    if any(len(row) != num_classes for row in rows):
        raise ValueError(f'{source}: {key} of a slice must be {num_classes} numbers, one for each class')
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f'{source}: {key} of a slice are not numbers ({error}); run the test again') from error
    wrong = ~np.isfinite(values) if key == 'logits' else ~((values >= 0) & (values <= 1))
    if wrong.any():
        index = int(wrong.any(1).argmax())
        kind = 'finite numbers' if key == 'logits' else 'probabilities, numbers from 0 to 1'
        raise ValueError(f'{source}: {key} of {_path(records[index])} are {rows[index]}, not {kind}; run the test again')
    return values


def _result_files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.exists():
        raise FileNotFoundError(f'{place} does not exist; give the working folders of finished runs, or their results*.json')
    files = sorted(place.glob(RESULTS)) if place.is_dir() else []
    if not files:
        raise FileNotFoundError(
            f'{place} contains no {RESULTS}; write one with: mmaffinity test CONFIG CHECKPOINT --out {place}/results.json'
        )
    return files


def _check_once(files: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    for file in files:
        if file.resolve() in seen:
            raise ValueError(f'{file} is given twice; two rows with the same results would look like two runs')
        seen[file.resolve()] = file


def _tell_apart(slices: Sequence[SliceRun], lesions: Sequence[LesionRun]) -> None:
    """Append the file name to the names of runs that have the same name and were tested on the same list."""
    shared = set()
    for runs in (slices, lesions):
        sources: dict[tuple[str, str], list[str]] = {}
        for run in runs:
            sources.setdefault((run.name, run.tested.sha256 if run.tested else ''), []).append(run.source)
        shared |= {source for files in sources.values() if len(files) > 1 for source in files}
    for run in [*slices, *lesions]:
        if run.source in shared:  # for both tasks, so that a model has one name
            run.name += f' ({Path(run.source).stem})'


def _names(places: Sequence[Path]) -> dict[Path, str]:
    """Return a name per place: as much of the end of its path as distinguishes it from the others."""
    places = list(dict.fromkeys(places))
    parts = {place: (place.with_suffix('') if place.is_file() else place).absolute().parts for place in places}
    for depth in range(1, max(map(len, parts.values()), default=1) + 1):
        names = {place: '/'.join(part[-depth:]) for place, part in parts.items()}
        if len(set(names.values())) == len(places):
            return names
    raise ValueError(f'the same run is given twice: {[str(place) for place in places]}')


def _read(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        if not all(isinstance(content[key], list) for key in ('slices', 'lesions', 'slice_classes')):
            raise TypeError('slices, lesions or slice_classes is not a list')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{file} was not written by mmaffinity test --out, or is damaged ({type(error).__name__}: {error}); '
            'run the test again'
        ) from error
    return content
