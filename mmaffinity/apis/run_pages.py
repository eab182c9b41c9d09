"""Write the pages of test runs, and of reports that compare them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmaffinity.evaluation.functional.calibration import reliability
from mmaffinity.evaluation.functional.ranking_scores import roc_curve
from mmaffinity.evaluation.report import LesionRun, SliceRun
from mmaffinity.evaluation.report.runs import path_of
from mmaffinity.utils.decoding import decode_color, decode_slice
from mmaffinity.visualization.pages.panels import jpeg, small
from mmaffinity.visualization.pages.run_page import run_page
from mmaffinity.visualization.saving import write_atomically

from .page_figures import PageFigure

MAX_PICTURES = 1000  # of a report, read from the tested files
NUM_WORST = 24  # slices with the lowest average precision that have an image in a report
GRID = np.linspace(0, 1, 101)  # false positive rates of the drawn ROC curves


def write_test_page(
    results: dict[str, Any],
    pictures: Mapping[tuple[str, str], bytes],
    path: str | Path,
    drawn: str | None = None,
    figures: Iterable[PageFigure] = (),
) -> Path:
    """Write the page of a test run.

    Args:
        results: content of the ``--out`` file.
        pictures: JPEG files by task and ``img_path``.
        path: the HTML file.
        drawn: what the right half of each image shows of the prediction; None if images show only the slice.
        figures: figures of the run, from :func:`figures_of_test`.
    """
    names = {('segmentation', record['img_path']): ('segmentation', path_of(record)) for record in results['lesions']}
    names |= {('classification', record['img_path']): ('classification', path_of(record)) for record in results['slices']}
    keys = {names[place]: str(number) for number, place in enumerate(pictures) if place in names}
    run = run_content(Path(str(results['config'])).stem, results, keys)
    content = dict(title=f'Test of {run["name"]}', runs=[run], notes=[], drawn=drawn, test=True)
    shown = {keys[names[place]]: picture for place, picture in pictures.items() if place in names}
    return _write(path, content, shown, figures)


def write_report_page(
    runs: Sequence[SliceRun | LesionRun], notes: Iterable[str], path: str | Path, figures: Iterable[PageFigure] = ()
) -> Path:
    """Write the page that compares finished runs, with images of misclassified and badly segmented slices, if they exist.

    Args:
        runs: runs from :func:`load_runs`; external systems without a file per slice are omitted.
        notes: notes of the report.
        path: the HTML file.
        figures: figures of the report, from :func:`figures_of_report`.
    """
    external = [run.name for run in runs if isinstance(run, SliceRun) and run.external]
    contents = {run.name: _read(run.parts) for run in runs if run.name not in external}
    wanted: dict[tuple[str, str], list[str]] = {}  # several paths, because runs may have read a slice from different places
    for content in contents.values():
        worst = sorted(content['lesions'], key=lambda record: float(np.mean(record['ap'])))[:NUM_WORST]
        wrong = [record for record in content['slices'] if record['label'] != record['pred']]
        for task, records in (('segmentation', worst), ('classification', wrong)):
            for record in records:
                wanted.setdefault((task, path_of(record)), []).append(record['img_path'])
    pictures: dict[str, bytes] = {}
    keys: dict[tuple[str, str], str] = {}
    for name, places in list(wanted.items())[:MAX_PICTURES]:
        picture = next(filter(None, map(picture_of_file, dict.fromkeys(places))), None)
        if picture is not None:
            keys[name] = str(len(keys))
            pictures[keys[name]] = picture
    left_out = [f'{name} is an external system: this page shows none of its slices.' for name in external]
    shown = [run_content(name, content, keys) for name, content in contents.items()]
    return _write(path, dict(title='Report', runs=shown, notes=[*notes, *left_out], drawn=None, test=False), pictures, figures)


def _read(files: Sequence[str]) -> dict[str, Any]:
    """Return the content of a run's results; for a cross-validation, that of the first fold with the slices of all folds."""
    contents = [json.loads(Path(file).read_text(encoding='utf-8')) for file in files]
    joined = {key: [record for content in contents for record in content[key]] for key in ('slices', 'lesions')}
    if len(contents) == 1:
        return contents[0]
    # The report's tables have the scores over all folds.
    return {**contents[0], **joined, 'metrics': {}, 'checkpoint': f'one per fold, {len(files)}', 'checkpoint_sha256': None}


def run_content(name: str, results: dict[str, Any], keys: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Return what the page needs of a run, as plain data.

    Args:
        name: name of the model.
        results: content of the ``--out`` file.
        keys: keys of images by task and relative path.
    """
    classes = results['slice_classes']
    slices = [
        dict(
            path=path_of(record),
            label=record['label'],
            pred=record['pred'],
            scores=[round(score, 5) for score in record['scores']],
            picture=keys.get(('classification', path_of(record))),
        )
        for record in results['slices']
    ]
    lesions = [
        dict(
            path=path_of(record),
            ap=[round(value, 4) for value in record['ap']],
            num_gt=record['num_gt'],
            num_pred=record['num_pred'],
            picture=keys.get(('segmentation', path_of(record))),
        )
        for record in results['lesions']
    ]
    content = dict(
        name=name,
        classes=classes,
        slices=slices,
        lesions=lesions,
        metrics=results['metrics'],
        split=results.get('split', 'test'),
        synthetic=any(entry.get('synthetic') for entry in results.get('lists', {}).values()),
        created=results.get('created'),
        versions=results.get('versions', {}),
        model={key: results.get(key) for key in ('config', 'config_sha256', 'checkpoint', 'checkpoint_sha256')},
    )
    if slices:
        scores = np.array([record['scores'] for record in results['slices']])
        labels, predicted = (np.array([item[key] for item in slices]) for key in ('label', 'pred'))
        bins = reliability(scores[np.arange(len(labels)), predicted].clip(0, 1), predicted == labels)
        content.update(
            roc=[_roc(scores[:, k], labels == k) for k in range(scores.shape[1])],
            reliability=bins.as_dict(),
        )
    return content


def _roc(scores: np.ndarray, positive: np.ndarray) -> dict[str, Any] | None:
    if positive.all() or not positive.any():
        return None
    false, true = roc_curve(scores, positive)
    return dict(
        auc=float((np.diff(false) * (true[1:] + true[:-1])).sum() / 2),
        # The upper end of each vertical step.
        true=[float(true[np.searchsorted(false, rate, side='right') - 1]) for rate in GRID],
    )


def picture_of_file(path: str) -> bytes | None:
    """Return a small JPEG of a slice; None if its file cannot be read, for example because it was moved after the test."""
    try:
        content = Path(path).read_bytes()
        picture = decode_slice(content)
        # A file with coloured pixels is shown in colour; one with 16 bits as the grey levels that models see.
        if picture.dtype == np.uint8 and np.ptp(color := decode_color(content), axis=2).any():
            picture = color[..., ::-1]
        return jpeg(small(np.rint(picture).astype(np.uint8)))
    except (OSError, ValueError):
        return None


def _write(path: str | Path, content: dict[str, Any], pictures: Mapping[str, bytes], figures: Iterable[PageFigure]) -> Path:
    files = dict(pictures)
    content['figures'] = []
    for number, figure in enumerate(figures):
        key = None if figure.picture is None else f'figure{number}'
        content['figures'].append(dict(title=figure.title, text=figure.text, picture=key))
        if figure.picture is not None:
            files[f'figure{number}'] = figure.picture
    return write_atomically(path, b''.join(run_page(content, files)))
