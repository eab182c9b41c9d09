"""Tables of a group of classification runs."""

from __future__ import annotations

from collections.abc import Sequence

from mmaffinity.utils.tables import markdown_table
from mmaffinity.utils.wording import plural

from ..functional.bootstrap import Estimate
from .content import Report
from .groups import Group
from .runs import SliceRun
from .scores import Calibration, Scores, aggregate_scores, slice_scores
from .tables import EXTERNAL, RUN, Column, Row

OVERALL_COLUMNS = [
    Column('accuracy', 'accuracy %'),
    Column('balanced_accuracy', 'balanced accuracy %'),
    Column('mcc', 'Matthews correlation', False),
]
CALIBRATION_COLUMNS = [
    Column('ece', 'ECE %', best='low'),
    Column('temperature', 'temperature', False, best=None),
    Column('ece_calibrated', 'ECE % after', best='low'),
]
CLASS_COLUMNS = [
    Column('sensitivity', 'sensitivity %'),
    Column('precision', 'precision %'),
    Column('specificity', 'specificity %'),
    Column('f1_per_class', 'F1 %'),
    Column('roc_auc', 'ROC AUC', False),
    Column('average_precision', 'average precision', False),
]


def add_classification(report: Report, group: Group, class_weights: str | Sequence[float]) -> None:
    """Add the tables of runs that classified the same slices.

    Args:
        report: receives the tables, calibrations, confusion matrices and notes.
        group: the runs.
        class_weights: class weights of the class-adjusted F1, see :func:`classification_report`.

    Raises:
        ValueError: if two runs have the same name.
    """
    scores: dict[str, Scores] = {}
    calibrations: dict[str, Calibration] = {}
    for run in group.runs:
        if run.name in scores:
            raise ValueError(f'two rows of {group.paper.title} are named {run.name}; rename the external system')
        scores[run.name], calibration = slice_scores(run, report.num_resamples, report.seed, class_weights)
        if calibration:
            calibrations[run.name] = calibration
    about = report.about_intervals(scores)
    rows = [_row(run, scores[run.name].estimates) for run in group.runs]
    counts = group.runs[0].confusion.sum(1)
    per_class = ', '.join(f'{count} {name}' for name, count in zip(group.classes, counts.tolist()))
    where = f'of the list {group.tested}' if group.tested else 'from published confusion matrices'
    weights = (
        'the share of each class'
        if isinstance(class_weights, str)
        else f'{", ".join(map(str, class_weights))} for {", ".join(group.classes)}'
    )
    columns = [Column(f'sensitivity/{name}', f'{name} %') for name in reversed(group.classes)] + [Column('f1', 'F1 %')]
    report.add_table(
        group,
        '',
        '',
        f'Sensitivity of each class and class-adjusted F1 (weights: {weights}) on '
        f'{plural(int(counts.sum()), "slice")} ({per_class}) {where}. {about}',
        columns,
        rows,
        [note for run in group.runs for note in run.notes],
    )
    report.compare(group, scores, columns)
    report.add_table(
        group,
        '_overall',
        ': all classes together',
        'Matthews correlation is 0 if only one class is predicted. Balanced accuracy is the mean '
        f'sensitivity over the classes that occur. {about}',
        OVERALL_COLUMNS,
        [_row(run, scores[run.name].estimates) for run in group.runs],
    )
    for name in reversed(group.classes):
        estimates = {run.name: scores[run.name].estimates for run in group.runs}
        rows = [
            _row(run, {column.metric: estimates[run.name][f'{column.metric}/{name}'] for column in CLASS_COLUMNS})
            for run in group.runs
        ]
        report.add_table(group, f'_{name}', f': {name} versus the rest', about, CLASS_COLUMNS, rows)
    if calibrations:
        _add_calibration(report, group, scores, calibrations, about)
    for level in ('scan', 'patient'):
        _add_aggregates(report, group, level, class_weights)
    for run in group.runs:
        _add_confusion(report, group, run)


def _row(run: SliceRun, estimates: dict[str, Estimate], rule: str = '') -> Row:
    return Row(run.name + rule, EXTERNAL if run.external else RUN, estimates)


def _add_calibration(
    report: Report, group: Group, scores: dict[str, Scores], calibrations: dict[str, Calibration], about: str
) -> None:
    rows = []
    for run in group.runs:
        cells, calibration = dict(scores[run.name].estimates), calibrations.get(run.name)
        if calibration and calibration.temperature is not None:
            slices = plural(calibration.num_validation, 'validation slice')
            note = f'fitted on {slices} of the list {run.validation.tested}; no interval, because it is a setting, not a score'
            cells['temperature'] = Estimate(calibration.temperature, note=note)
        else:
            cells['temperature'] = Estimate(None, note=cells['ece_calibrated'].note)
        rows.append(_row(run, cells))
    report.add_table(
        group,
        '_calibration',
        ': calibration',
        "Expected calibration error (ECE) of the predicted class's probability, with 15 bins of equal width. The "
        f'temperature divides the logits and was fitted on the validation split alone. {about}',
        CALIBRATION_COLUMNS,
        rows,
    )
    report.calibrations.update({(group.key, name): calibration for name, calibration in calibrations.items()})


def _add_aggregates(report: Report, group: Group, level: str, class_weights: str | Sequence[float]) -> None:
    """Add the scores by scan or by patient, or a note that explains why there are none."""
    all_scores: dict[str, Scores] = {}
    rows, caption, notes = [], '', []
    for run in group.runs:
        units = _units(run, level)
        if units is None:
            continue
        found, joined = aggregate_scores(run, units, report.num_resamples, report.seed, class_weights)
        for rule, scores in found.items():
            all_scores[rule + run.name] = scores
            rows.append(_row(run, scores.estimates, f', {rule}'))
        counts = ', '.join(f'{int((joined.labels == k).sum())} {name}' for k, name in enumerate(group.classes))
        caption = (
            f'{plural(len(joined.units), level)} ({counts}), each labelled with the class of its slices. '
            'The prediction is the class with the highest mean probability, or the class predicted for the most slices. '
        )
        if joined.mixed:
            notes = [f'Left out: {plural(len(joined.mixed), level)} with slices of several classes.']
    if not rows:
        report.notes.append(
            f'{group.paper.title}: no scores by {level}, because the list does not name the {level} of '
            f'every slice, or every {level} has slices of several classes.'
        )
        return
    columns = [
        *(Column(f'sensitivity/{name}', f'{name} %') for name in reversed(group.classes)),
        Column('f1', 'F1 %'),
        Column('accuracy', 'accuracy %'),
        *(Column(f'roc_auc/{name}', f'ROC AUC {name}', False) for name in reversed(group.classes)),
    ]
    caption += report.about_intervals(all_scores)
    report.add_table(group, f'_{level}s', f': by {level}', caption, columns, rows, notes, first='model, rule')


def _units(run: SliceRun, level: str) -> list[tuple] | None:
    """Return the patient, or patient and scan, of each slice; None if not all are known."""
    if run.labels is None or any(name is None for name in (run.patients if level == 'patient' else run.scans)):
        return None
    return [(patient,) if level == 'patient' else (patient, scan) for patient, scan in zip(run.patients, run.scans)]


def _add_confusion(report: Report, group: Group, run: SliceRun) -> None:
    counts = run.confusion.tolist()
    kind = EXTERNAL if run.external else RUN
    report.confusions.append(dict(table=group.key, model=run.name, kind=kind, classes=list(run.classes), confusion=counts))
    rows = [[name, *row, sum(row)] for name, row in zip(run.classes, counts)]
    rows.append(['all', *run.confusion.sum(0).tolist(), int(run.confusion.sum())])
    title = f'Confusion matrix of {run.name}, in slices (rows: true class, columns: predicted class):'
    table = markdown_table(['', *run.classes, 'all'], rows, 'l' + 'r' * (len(run.classes) + 1))
    report.matrices.setdefault(group.key, []).append(f'{title}\n\n{table}')
