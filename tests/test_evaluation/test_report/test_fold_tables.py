"""The table of each fold's results, from metrics that no fold, some or all folds have."""

import numpy as np
import pytest

from mmaffinity.evaluation.report import LesionRun, SliceRun
from mmaffinity.evaluation.report.fold_tables import fold_tables


def slice_run(fold_metrics, **fields):
    return SliceRun('study', ('Normal', 'COVID-19'), np.eye(2, dtype=int), fold_metrics=fold_metrics, **fields)


FOLDS = {
    0: {
        'slice/f1': 0.9,
        'slice/sensitivity_COVID-19': 0.5,
        'slice/precision_CP': 0.1,
        'lesion/mAP': 0.25,
        'coco/segm_mAP': 0.3,
    },
    1: {'slice/f1': 0.7, 'slice/sensitivity_COVID-19': 1.0, 'lesion/mAP': 0.75},
    2: {'slice/f1': 0.8, 'lesion/mAP': 0.35},
}


def test_each_fold_and_their_spread():
    (table,) = fold_tables([slice_run(FOLDS)])
    assert [(column.metric, column.title) for column in table.columns] == [
        ('slice/f1', 'F1 %'),
        ('slice/sensitivity_COVID-19', 'COVID-19 %'),
        ('lesion/mAP', 'mAP'),
    ]
    assert [row.name for row in table.rows] == ['0', '1', '2', 'all'] and table.first == 'fold'
    assert [row.cells['lesion/mAP'].value for row in table.rows[:3]] == [0.25, 0.75, 0.35]
    every = table.rows[3].cells['slice/f1']
    assert (every.value, every.low, every.high, every.std) == (pytest.approx(0.8), 0.7, 0.9, pytest.approx(0.1))
    assert not any(row.bold for row in table.rows)
    assert not table.caption.startswith('Synthetic') and fold_tables([slice_run(FOLDS, synthetic=True)])[0].caption.startswith(
        'Synthetic slices, not CT. '
    )


@pytest.mark.parametrize('value', [None, float('nan')])
def test_a_metric_that_a_fold_lacks_has_a_footnote(value):
    """A fold without slices of a class has no sensitivity for it."""
    folds = {**FOLDS, 2: {**FOLDS[2], 'slice/sensitivity_COVID-19': value}}
    (table,) = fold_tables([slice_run(folds)])
    assert '| 2 | 80.00 | \u2013 [a] | 0.350 |' in table.markdown()
    assert '[a] Undefined on the slices of this fold.' in table.markdown()
    cell = table.rows[3].cells['slice/sensitivity_COVID-19']
    assert cell.value == 0.75 and cell.note == 'from 2 of 3 folds; undefined for the others'


def test_a_run_has_one_table_for_slices_and_lesions():
    lesions = LesionRun('study', np.zeros((3, 10)), np.ones(3, int), fold_metrics=FOLDS)
    assert [table.title for table in fold_tables([slice_run(FOLDS), lesions])] == ['Cross-validation: study']
    assert fold_tables([slice_run({})]) == []
