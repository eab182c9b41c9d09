"""Loading of the results of finished runs, written by ``mmaffinity test --out``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.evaluation.functional.average_precision import IOU_THRESHOLDS
from mmaffinity.utils.wording import plural

from .folds import Entry, pool_folds
from .runs import LesionRun, SliceRun, TestedConfig, TestedList, make_slice_run, path_of

RESULTS = 'results*.json'
_DAMAGED = '{} was not written by mmaffinity test --out, or is damaged ({}); run the test again'


def load_runs(places: Sequence[str | Path]) -> tuple[list[SliceRun], list[LesionRun], list[str]]:
    """Read the results of finished runs.

    Args:
        places: work directories, each with one or more ``results*.json``, or the files themselves. Results on the validation
            split are attached to those of the same checkpoint on the test split. If a folder has several results on one list,
            file names distinguish them. The folds of a cross-validation become one run.

    Returns:
        Classification runs, segmentation runs, and notes on what was left out.

    Raises:
        FileNotFoundError: if a folder or file does not exist, or a folder has no results.
        ValueError: if a file was not written by ``mmaffinity test --out``, or is given twice.
    """
    slices: list[SliceRun] = []
    lesions: list[LesionRun] = []
    validation: list[SliceRun] = []
    files = [(place, file) for place in map(Path, places) for file in _result_files(place)]
    _check_once([file for _, file in files])
    names = _names([place for place, _ in files])
    entries, notes = pool_folds([Entry(names[place], _read(file), file) for place, file in files])
    for name, content, file in entries:
        is_test = content.get('split', 'test') != 'val'
        try:
            if content['slices']:
                (slices if is_test else validation).append(_slice_run(name, content, file))
            if content['lesions'] and is_test:
                lesions.append(_lesion_run(name, content, file))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(_DAMAGED.format(file, f'{type(error).__name__} in its records: {error}')) from error
        if is_test and not content['slices'] and not content['lesions']:
            notes.append(f'{file} contains no tested slices and was left out.')
    _tell_apart(slices, lesions)
    for run in validation:
        partners = [test for test in slices if test.checkpoint == run.checkpoint and test.classes == run.classes]
        for test in partners:
            test.validation = run
        if not partners:
            notes.append(
                f'{run.source}: no test results of the same checkpoint were given, '
                'so these validation predictions are not used.'
            )
    for run in slices:
        shared = set(run.paths) & set(run.validation.paths) if run.validation else ()
        if shared:
            raise ValueError(
                f'{run.name}: {plural(len(shared), "slice", "is")} in both its test list and its validation list, '
                f'such as {min(shared)} ({run.source}, {run.validation.source}); a temperature fitted on test '
                'slices would make the calibration look too good: use separate lists'
            )
    return slices, lesions, notes


def _slice_run(name: str, content: dict, file: Path) -> SliceRun:
    records = content['slices']
    classes = content['slice_classes'] or [str(k) for k in range(len(records[0]['scores']))]
    lists, fields = _origin(content, 'classification', file)
    return make_slice_run(name, classes, records, lists, str(file), **fields)


def _lesion_run(name: str, content: dict, file: Path) -> LesionRun:
    records = sorted(content['lesions'], key=path_of)
    lists, fields = _origin(content, 'segmentation', file)
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
                f'{file}: ap of {path_of(record)} is {record["ap"]!r:.80}, not {len(IOU_THRESHOLDS)} numbers, one '
                'per IoU threshold; run the test again'
            )
    return LesionRun(
        name,
        np.array([record['ap'] for record in records], np.float64),
        np.array([record['num_gt'] for record in records]),
        {key.rsplit('/')[-1]: value for key, value in coco.items()},
        tested=TestedList.of(lists, list(map(path_of, records))),
        patients=tuple(record.get('patient_id') for record in records),
        source=str(file),
        **fields,
    )


def _origin(content: dict, task: str, file: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the tested list files, and the fields that classification and segmentation runs share."""
    entry, digest = content.get('lists', {}).get(task, {}), content.get('config_sha256')
    config = TestedConfig(Path(str(content.get('config') or 'config')).stem, str(digest)) if digest else None
    return entry.get('ann_files') or ['unnamed list'], dict(
        checkpoint=content.get('checkpoint_sha256') or content.get('checkpoint'),
        synthetic=bool(entry.get('synthetic', False)),
        config=config,
        fold_metrics=content.get('fold_metrics', {}),
        parts=tuple(content.get('parts', [str(file)])),
    )


def _result_files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.exists():
        raise FileNotFoundError(f'{place} does not exist; pass the work directories of finished runs, or their results*.json')
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
            raise ValueError(f'{file} is given twice, and would look like two runs: pass it once')
        seen[file.resolve()] = file


def _tell_apart(slices: Sequence[SliceRun], lesions: Sequence[LesionRun]) -> None:
    """Append the file name to the names of runs with the same name that were tested on the same list."""
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
    """Return a name for each place: as much of the end of its path as distinguishes it from the others."""
    places = list(dict.fromkeys(places))
    parts = {place: (place.with_suffix('') if place.is_file() else place).absolute().parts for place in places}
    for depth in range(1, max(map(len, parts.values()), default=1) + 1):
        names = {place: '/'.join(part[-depth:]) for place, part in parts.items()}
        if len(set(names.values())) == len(places):
            return names
    raise ValueError(f'the same run is given twice in {[str(place) for place in places]}: pass it once')


def _read(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        if not all(isinstance(content[key], list) for key in ('slices', 'lesions', 'slice_classes')):
            raise TypeError('slices, lesions or slice_classes is not a list')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(_DAMAGED.format(file, f'{type(error).__name__}: {error}')) from error
    return content
