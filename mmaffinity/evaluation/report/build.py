"""The report: tables, comparisons and counts of all runs."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from mmaffinity.utils.wording import plural

from ..functional.bootstrap import Estimate, paired_difference
from ..functional.confusion_scores import confusion_scores
from .fold_tables import fold_tables
from .groups import Group, group_runs
from .published import PublishedRow
from .runs import LesionRun, SliceRun
from .scores import Calibration, Scores, aggregate_scores, lesion_scores, slice_scores
from .seeds import add_seed_rows
from .tables import EXTERNAL, PUBLISHED, RUN, Column, Row, Table, markdown_matrix

SEGMENTATION_COLUMNS = [Column('AP50', 'AP50', False), Column('AP75', 'AP75', False), Column('mAP', 'mAP', False)]
COCO_COLUMNS = [Column('segm_mAP_50', 'COCO AP50', False), Column('segm_mAP_75', 'COCO AP75', False),
                Column('segm_mAP', 'COCO AP', False)]
OVERALL_COLUMNS = [Column('accuracy', 'accuracy %'), Column('balanced_accuracy', 'balanced accuracy %'),
                   Column('mcc', 'Matthews correlation', False)]
CALIBRATION_COLUMNS = [Column('ece', 'ECE %', best='low'), Column('temperature', 'temperature', False, best=None),
                       Column('ece_calibrated', 'ECE % after', best='low')]
COCO_NOTE = ("COCO's own AP pools the objects of all images (at most 100 in each); it has no value per image to "
             'resample, hence no interval')
SYNTHETIC = 'Synthetic slices, drawn by mmaffinity (the phantom): figures on them say that the machinery works, nothing ' \
    'about CT, and are not to be held against published ones.'
COCO_UNDEFINED = "COCO's AP is undefined without a lesion, or was not computed"
CLASS_COLUMNS = (('sensitivity', 'sensitivity %', True), ('precision', 'precision %', True),
                 ('specificity', 'specificity %', True), ('f1_per_class', 'F1 %', True), ('roc_auc', 'ROC AUC', False),
                 ('average_precision', 'average precision', False))


@dataclass
class Report:
    """The content of a report.

    Attributes:
        tables: tables in order.
        matrices: Markdown tables of counts, by the key of their table.
        confusions: confusion matrices as plain data.
        calibrations: by table and run, for classifications with probabilities.
        notes: notes on what was left out.
        synthetic: names of runs tested on the phantom.
    """
    tables: list[Table] = field(default_factory=list)
    matrices: dict[str, list[str]] = field(default_factory=dict)
    confusions: list[dict] = field(default_factory=list)
    calibrations: dict[tuple[str, str], Calibration] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    synthetic: list[str] = field(default_factory=list)


def build_report(slices: Sequence[SliceRun], lesions: Sequence[LesionRun], num_resamples: int = 1000, seed: int = 0,
                 class_weights: str | Sequence[float] = 'share', notes: Sequence[str] = (),
                 progress: Callable[[str], None] = lambda message: None) -> Report:
    """Score all runs and arrange them in tables.

    Args:
        slices, lesions: runs from :func:`load_runs`, including external systems.
        num_resamples: number of bootstrap resamples.
        seed: seed of the bootstrap.
        class_weights: class weights of the class-adjusted F1, see :func:`classification_report`; numbers are used only in
            tables with as many classes, of which there must be at least one.
        notes: notes to include.
        progress: called with what is being done.

    Raises:
        ValueError: if there is nothing to report, runs of one table were tested on different lists, or the class
            weights do not sum to 1 or match no table.
    """
    if not slices and not lesions:
        raise ValueError('no run with tested slices was given, so there is nothing to report')
    groups = group_runs(slices, lesions)
    _check_class_weights(class_weights, groups)
    report = Report(notes=list(notes))
    report.synthetic = list(dict.fromkeys(run.name for run in [*slices, *lesions] if run.synthetic))
    if report.synthetic:
        report.notes.insert(0, f'{SYNTHETIC} This is of: {", ".join(report.synthetic)}.')
    for group in groups:
        progress(f'{group.paper.title}: {len(group.runs)} run{"" if len(group.runs) == 1 else "s"}')
        if group.key == 'table3':
            _segmentation(report, group, num_resamples, seed)
        else:
            fits = isinstance(class_weights, str) or len(class_weights) == len(group.classes)
            _classification(report, group, num_resamples, seed, class_weights if fits else 'share')
    if not lesions:
        report.notes.append('No run has lesion masks, so there is no Table 3.')
    report.notes += add_seed_rows(report.tables, [*slices, *lesions])
    on_phantom = {group.key for group in groups if any(run.synthetic for run in group.runs)}
    for table in report.tables:
        if table.group in on_phantom:
            table.caption = f'Synthetic slices, no CT. {table.caption}'
    report.tables += fold_tables([*slices, *lesions])
    return report


def _check_class_weights(class_weights: str | Sequence[float], groups: Sequence[Group]) -> None:
    if isinstance(class_weights, str):
        return
    weights = np.asarray(class_weights, dtype=np.float64)
    if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
        raise ValueError(f'class weights must be at least 0 and sum to 1, got {list(class_weights)}')
    sizes = {len(group.classes) for group in groups if group.classes}
    if len(weights) not in sizes:
        raise ValueError(f'{plural(len(weights), "class weight", "does")} not fit any table of this report, whose tables have '
                         f'{" or ".join(map(str, sorted(sizes))) or "no"} classes')


def _segmentation(report: Report, group: Group, num_resamples: int, seed: int) -> None:
    scores = {run.name: lesion_scores(run, num_resamples, seed) for run in group.runs}
    lesions, images = int(group.runs[0].num_lesions.sum()), len(group.runs[0].ap)
    with_lesions = int((group.runs[0].num_lesions > 0).sum())
    coco = any(run.coco for run in group.runs)
    table = Table(group.key, group.paper.title,
                  f'Average precision of lesion masks per image, averaged over {plural(images, "image")} '
                  f'({with_lesions} with lesions, {plural(lesions, "lesion")}), list {group.tested}. '
                  + _about_intervals(scores, num_resamples), SEGMENTATION_COLUMNS + (COCO_COLUMNS if coco else []),
                  group.key)
    for run in group.runs:
        cells = dict(scores[run.name].estimates)
        for column in COCO_COLUMNS if coco else []:
            value = run.coco.get(column.metric)
            cells[column.metric] = Estimate(value, note=COCO_UNDEFINED if value is None else COCO_NOTE)
        table.rows.append(Row(run.name, RUN, cells))
    _finish(report, table, group, scores, SEGMENTATION_COLUMNS)


def _classification(report: Report, group: Group, num_resamples: int, seed: int,
                    class_weights: str | Sequence[float]) -> None:
    scores: dict[str, Scores] = {}
    calibrations: dict[str, Calibration] = {}
    for run in group.runs:
        if run.name in scores:
            raise ValueError(f'two rows of {group.paper.title} are called {run.name}; give external systems other '
                             'names')
        scores[run.name], calibration = slice_scores(run, num_resamples, seed, class_weights)
        if calibration:
            calibrations[run.name] = calibration
    columns = [Column(f'sensitivity/{name}', f'{name} %') for name in reversed(group.classes)] + [Column('f1', 'F1 %')]
    counts = group.runs[0].confusion.sum(1)
    per_class = ', '.join(f'{count} {name}' for name, count in zip(group.classes, counts.tolist()))
    where = f'list {group.tested}' if group.tested else 'from published confusion matrices'
    weights = 'the share of each class' if isinstance(class_weights, str) else \
        f'the weights {", ".join(map(str, class_weights))} for {", ".join(group.classes)}'
    table = Table(group.key, group.paper.title,
                  f'Sensitivity of each class and class-adjusted F1 (by {weights}), {plural(int(counts.sum()), "slice")} '
                  f'({per_class}), {where}. ' + _about_intervals(scores, num_resamples), columns, group.key)
    for run in group.runs:
        table.rows.append(_row(run, scores[run.name].estimates))
        table.notes += run.notes
    _finish(report, table, group, scores, columns)

    overall = Table(f'{group.key}_overall', f'{group.paper.title}: all classes together',
                    'Matthews correlation is 0 where only one class is predicted. Balanced accuracy is the mean '
                    'sensitivity of the classes that occur. ' + _about_intervals(scores, num_resamples),
                    OVERALL_COLUMNS, group.key)
    overall.rows = [_row(run, scores[run.name].estimates) for run in group.runs]
    overall.mark_best()
    report.tables.append(overall)
    for name in reversed(group.classes):
        columns = [Column(metric, title, percent) for metric, title, percent in CLASS_COLUMNS]
        one = Table(f'{group.key}_{name}', f'{group.paper.title}: {name} against the rest',
                    _about_intervals(scores, num_resamples), columns, group.key)
        for run in group.runs:
            estimates = scores[run.name].estimates
            one.rows.append(_row(run, {column.metric: estimates[f'{column.metric}/{name}'] for column in columns}))
        one.mark_best()
        report.tables.append(one)
    _add_calibration(report, group, scores, calibrations, num_resamples)
    _add_aggregates(report, group, num_resamples, seed, class_weights)
    for run in group.runs:
        report.confusions.append(dict(table=group.key, model=run.name, kind=EXTERNAL if run.external else RUN,
                                      classes=list(run.classes), confusion=run.confusion.tolist()))
        rows = [[name, *row, sum(row)] for name, row in zip(run.classes, run.confusion.tolist())]
        rows.append(['all', *run.confusion.sum(0).tolist(), int(run.confusion.sum())])
        report.matrices.setdefault(group.key, []).append(markdown_matrix(
            f'Slices of {run.name}, rows true class, columns predicted class:', ['', *run.classes, 'all'], rows))


def _row(run: SliceRun, estimates: dict[str, Estimate]) -> Row:
    return Row(run.name, EXTERNAL if run.external else RUN, estimates)


def _finish(report: Report, table: Table, group: Group, scores: dict[str, Scores], columns: Sequence[Column]) -> None:
    """Mark the best in bold, add published rows below, and add the paired differences as a separate table."""
    table.mark_best()
    for row in group.paper.rows:
        table.rows.append(Row(row.name, PUBLISHED, _published_cells(row, group.classes)))
    if group.paper.rows:
        table.notes.append(f'Published figures are the paper\'s, on {group.paper.on}, with its weights; no intervals '
                           'were published. Bold marks the best of the other rows.')
        if any(row.confusion for row in group.paper.rows):
            table.notes.append('Published rows with a confusion matrix: F1 with the weights of that publication '
                               '(0.45, 0.35, 0.20 for Normal, CP, COVID-19).')
    report.tables.append(table)
    paired = [run for run in group.runs if scores[run.name].samples]
    first = scores[paired[0].name] if paired else None
    # If one results file names patients and another does not, their resamples are different draws.
    paired = [run for run in paired
              if (scores[run.name].units, scores[run.name].num_units) == (first.units, first.num_units)]
    if len(paired) < 2:
        return
    columns = [Column(c.metric, c.title, c.percent, best=None, signed=True) for c in columns]
    differences = Table(
        f'{group.key}_differences', f'{group.paper.title}: differences',
        f'First minus second model, from the same resamples of {first.num_units} {first.units} (paired '
        'bootstrap). Bold: the 95 % interval does not hold 0. With many pairs some do so by chance.', columns,
        group.key, first='pair')
    for one, other in combinations(paired, 2):
        a, b = scores[one.name], scores[other.name]
        cells = {c.metric: paired_difference(a.estimates[c.metric], b.estimates[c.metric], a.samples[c.metric],
                                             b.samples[c.metric], a.num_units, a.units) for c in columns}
        bold = {metric for metric, e in cells.items() if e.low is not None and (e.low > 0 or e.high < 0)}
        differences.rows.append(Row(f'{one.name} \u2212 {other.name}', RUN, cells, bold))
    report.tables.append(differences)


def _published_cells(row: PublishedRow, classes: Sequence[str]) -> dict[str, Estimate]:
    values = dict(row.values)
    if row.confusion:
        found = confusion_scores(np.array(row.confusion), row.class_weights or 'share')
        values.update({f'sensitivity/{name}': float(value) for name, value in zip(classes, found['sensitivity'])},
                      f1=float(found['f1']))
    return {metric: Estimate(value, note=row.notes.get(metric)) for metric, value in values.items()}


def _add_calibration(report: Report, group: Group, scores: dict[str, Scores], calibrations: dict[str, Calibration],
                     num_resamples: int) -> None:
    if not calibrations:
        return
    table = Table(f'{group.key}_calibration', f'{group.paper.title}: calibration',
                  'Expected calibration error (ECE) of the predicted class\' probability, 15 bins of equal width; the '
                  'temperature divides the logits and was fitted on the validation split only. '
                  + _about_intervals(scores, num_resamples), CALIBRATION_COLUMNS, group.key)
    for run in group.runs:
        cells, calibration = dict(scores[run.name].estimates), calibrations.get(run.name)
        if calibration and calibration.temperature is not None:
            cells['temperature'] = Estimate(calibration.temperature, note='fitted on '
                                            f'{plural(calibration.num_validation, "validation slice")} of list '
                                            f'{run.validation.tested}; a setting, not a '
                                            'score, so without an interval')
        else:
            cells['temperature'] = Estimate(None, note=cells['ece_calibrated'].note)
        table.rows.append(_row(run, cells))
    table.mark_best()
    report.tables.append(table)
    report.calibrations.update({(group.key, name): calibration for name, calibration in calibrations.items()})


def _add_aggregates(report: Report, group: Group, num_resamples: int, seed: int,
                    class_weights: str | Sequence[float]) -> None:
    columns = [Column(f'sensitivity/{name}', f'{name} %') for name in reversed(group.classes)] + [
        Column('f1', 'F1 %'), Column('accuracy', 'accuracy %'),
        *(Column(f'roc_auc/{name}', f'ROC AUC {name}', False) for name in reversed(group.classes))]
    for level in ('scan', 'patient'):
        all_scores: dict[str, Scores] = {}
        table = Table(f'{group.key}_{level}s', f'{group.paper.title}: by {level}', '', columns, group.key,
                      first='model, rule')
        for run in (run for run in group.runs if run.labels is not None):
            units = _units(run, level)
            if units is None:
                continue
            found, joined = aggregate_scores(run, units, num_resamples, seed, class_weights)
            for rule, scores in found.items():
                all_scores[rule + run.name] = scores
                table.rows.append(Row(f'{run.name}, {rule}', EXTERNAL if run.external else RUN, scores.estimates))
            counts = ', '.join(f'{int((joined.labels == k).sum())} {name}' for k, name in enumerate(group.classes))
            table.caption = f'{plural(len(joined.units), level)} ({counts}), each with the class of its slices. By the ' \
                'class of highest mean probability, or the one predicted for the largest share of the slices. '
            if joined.mixed:
                table.notes = [f'{plural(len(joined.mixed), level, "is")} left out, with slices of several classes.']
        if table.rows:
            table.caption += _about_intervals(all_scores, num_resamples)
            table.mark_best()
            report.tables.append(table)
        else:
            report.notes.append(f'{group.paper.title}: no scores by {level}, as the list does not name the {level} of '
                                'every slice, or the slices of each are of several classes.')


def _units(run: SliceRun, level: str) -> list[tuple] | None:
    """Patient, or patient and scan, of each slice; None if not all are known."""
    if any(name is None for name in (run.patients if level == 'patient' else run.scans)):
        return None
    return [(patient, ) if level == 'patient' else (patient, scan) for patient, scan in zip(run.patients, run.scans)]


def _about_intervals(scores: dict[str, Scores], num_resamples: int) -> str:
    paired = [s for s in scores.values() if s.samples] or scores.values()
    kinds = {(s.num_units, s.units) for s in paired}
    over = ' or '.join(plural(num, kind.removesuffix('s')) for num, kind in sorted(kinds))
    unknown = ' (patients are not known)' if {kind for _, kind in kinds} == {'slices'} else ''
    apart = [name for name, s in scores.items() if not s.samples] if any(s.samples for s in scores.values()) else []
    matrices = f'; of {", ".join(apart)}, of slices, as there is but a confusion matrix' if apart and not unknown else ''
    return f'95 % percentile intervals from {plural(num_resamples, "bootstrap resample")} of {over}{unknown}{matrices}.'
