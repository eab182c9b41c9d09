"""Scores against scikit-learn and by hand, and every undefined score."""

import math

import pytest
from report_helpers import CLASSES, cell, lesion_records, no_nan, report_of, slice_records, table, write_results

from mmaffinity.evaluation.functional.classification import classification_report
from mmaffinity.evaluation.report import load_runs

metrics = pytest.importorskip('sklearn.metrics')


def test_figures_against_scikit_learn(two_runs):
    report = report_of(*two_runs)
    for row, run in enumerate(load_runs(two_runs)[0]):
        logits, labels = run.logits, run.labels
        assert cell(report, 'table4_overall', 'accuracy', row).value == pytest.approx(
            metrics.accuracy_score(labels, run.predictions)
        )
        assert cell(report, 'table4_overall', 'mcc', row).value == pytest.approx(
            metrics.matthews_corrcoef(labels, run.predictions)
        )
        assert cell(report, 'table4', 'f1', row).value == pytest.approx(
            metrics.f1_score(labels, run.predictions, average='weighted')
        )
        for index, name in enumerate(CLASSES):
            one = f'table4_{name}'
            assert cell(report, one, 'roc_auc', row).value == pytest.approx(
                metrics.roc_auc_score(labels == index, logits[:, index])
            )
            assert cell(report, one, 'average_precision', row).value == pytest.approx(
                metrics.average_precision_score(labels == index, logits[:, index])
            )
            assert cell(report, one, 'specificity', row).value == pytest.approx(
                metrics.recall_score(labels != index, run.predictions != index)
            )


def test_temperature_comes_from_the_validation_split_only(two_runs):
    report = report_of(*two_runs)
    first, second = (table(report, 'table4_calibration').rows[row].cells for row in (0, 1))
    assert first['temperature'].value is None and '--split val' in first['temperature'].note
    assert first['ece_calibrated'].value is None
    assert second['temperature'].value > 0 and '90 validation slices' in second['temperature'].note
    # The probability of the predicted class at that temperature, binned by a loop.
    run = load_runs(two_runs)[0][1]
    bins = {}
    for logits, predicted, label in zip(run.logits, run.predictions, run.labels):
        confidence = 1 / (1 + math.exp(-logits[predicted] / second['temperature'].value))
        bins.setdefault(math.ceil(15 * confidence), []).append(float(predicted == label) - confidence)
    expected = sum(abs(sum(gaps)) for gaps in bins.values()) / len(run.labels)
    assert second['ece_calibrated'].value == pytest.approx(expected)


def test_empty_class_and_class_never_predicted(tmp_path):
    records = [record for record in slice_records(60, 12) if record['label'] != 2]
    for record in records:
        record['pred'] = 0
    report = report_of(write_results(tmp_path / 'a', records))
    no_nan(report)
    assert cell(report, 'table4', 'sensitivity/COVID-19').note == 'COVID-19 has no slice'
    assert cell(report, 'table4_CP', 'precision').note == 'CP is never predicted'
    assert cell(report, 'table4_COVID-19', 'roc_auc').note == 'no slice is COVID-19'
    assert cell(report, 'table4_overall', 'mcc').value == 0
    assert '[a]' in table(report, 'table4').markdown()
    (run,) = load_runs([tmp_path / 'a'])[0]
    assert cell(report, 'table4', 'f1').value == pytest.approx(classification_report(run.confusion).f1)


def test_a_single_slice(tmp_path):
    report = report_of(write_results(tmp_path / 'a', slice_records(1, 1), lesion_records(1)))
    no_nan(report)
    assert 'there is only one' in cell(report, 'table4', 'f1').note and cell(report, 'table4', 'f1').low is None
    assert 'there is only one' in cell(report, 'table3', 'mAP').note


def test_a_class_of_one_patient_has_no_interval(tmp_path):
    records = slice_records(60, 12)
    for record in records:
        if record['label'] == 2:
            record['patient_id'] = 'only'
    report = report_of(write_results(tmp_path / 'a', records))
    sensitivity = cell(report, 'table4', 'sensitivity/COVID-19')
    assert sensitivity.value is not None and sensitivity.low is None and 'one of the patients' in sensitivity.note
    assert cell(report, 'table4_COVID-19', 'roc_auc').low is None
    for other in (cell(report, 'table4', 'sensitivity/CP'), cell(report, 'table4_COVID-19', 'specificity')):
        assert other.low < other.value < other.high


def test_an_interval_that_is_a_point_has_a_footnote(tmp_path):
    records = slice_records(60, 12)
    for record in records:
        record['pred'] = record['label']
    report = report_of(write_results(tmp_path / 'a', records))
    sensitivity = cell(report, 'table4', 'sensitivity/CP')
    assert (sensitivity.low, sensitivity.high) == (1, 1) and 'zero width' in sensitivity.note
    assert 'zero width' in table(report, 'table4').markdown()
