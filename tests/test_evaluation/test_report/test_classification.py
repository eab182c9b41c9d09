"""Tables of classification runs: by scan and patient, with unknown patients, with other class weights."""

import numpy as np
import pytest
from report_helpers import cell, report_of, slice_records, table, write_results

from mmaffinity.evaluation.functional.classification import classification_report
from mmaffinity.evaluation.report import load_runs

pytest.importorskip('sklearn.metrics')


def test_scans_and_patients(two_runs):
    report = report_of(*two_runs)
    assert [row.name for row in table(report, 'table4_patients').rows] == [
        f'{run}, {rule}' for run in ('m0', 'm1') for rule in ('mean probability', 'share of slices')
    ]
    run = load_runs(two_runs)[0][0]
    right = []
    for patient in dict.fromkeys(run.patients):
        own = [index for index, name in enumerate(run.patients) if name == patient]
        right.append(run.scores[own].mean(0).argmax() == run.labels[own[0]])
    assert cell(report, 'table4_patients', 'accuracy').value == pytest.approx(np.mean(right))


def test_unknown_patients_are_reported(tmp_path):
    records = [{**record, 'patient_id': None, 'scan_id': None} for record in slice_records(30, 9)]
    report = report_of(write_results(tmp_path / 'a', records))
    assert 'resamples of 30 slices (patients are unknown)' in table(report, 'table4').caption
    assert any('no scores by patient' in note for note in report.notes)


def test_fixed_class_weights(two_runs):
    run = load_runs(two_runs)[0][0]
    report = report_of(*two_runs, class_weights=(0.45, 0.35, 0.2))
    assert cell(report, 'table4', 'f1').value == pytest.approx(
        classification_report(run.confusion, class_weights=(0.45, 0.35, 0.2)).f1
    )
    assert '0.45' in table(report, 'table4').caption
