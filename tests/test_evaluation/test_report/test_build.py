"""The whole report: every figure within its interval, external systems, and what is left out."""

import pytest
from report_helpers import CLASSES, RESAMPLES, cell, lesion_records, no_nan, report_of, slice_records, table, write_results

from mmaffinity.evaluation.report import build_report, load_runs
from mmaffinity.evaluation.report.runs import SliceRun

pytest.importorskip('sklearn.metrics')


def test_every_figure_lies_within_its_interval(two_runs):
    report = report_of(*two_runs)
    seen = 0
    for one in report.tables:
        for row in one.rows:
            if row.kind == 'published':
                assert all(estimate.low is None for estimate in row.cells.values())
                continue
            for column in one.columns:
                estimate = row.cells[column.metric]
                if estimate.value is None or column.metric == 'temperature':
                    assert estimate.note
                    continue
                if column.metric not in ('ece', 'ece_calibrated'):  # the plug-in ECE is biased upwards in resamples
                    assert estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9, (one.key, column.metric)
                seen += 1
    assert seen > 100
    assert '39 patients' in table(report, 'table4').caption and '10 patients' in table(report, 'table3').caption


def test_missing_segmentation_is_reported(tmp_path):
    report = report_of(write_results(tmp_path / 'a', slice_records(12, 4)))
    assert any('no Table 3' in note for note in report.notes)
    assert not any(one.key.startswith('table3') for one in report.tables)
    with pytest.raises(ValueError, match='nothing to report'):
        build_report([], [])


def test_external_matrix_of_other_slices_is_rejected(two_runs):
    slices, lesions, _ = load_runs(two_runs)
    own = slices[0].confusion
    fitting = SliceRun('Other', CLASSES, own, external=True, notes=('From elsewhere.',))
    report = build_report([*slices, fitting], lesions, RESAMPLES)
    row = table(report, 'table4').rows[2]
    f1 = row.cells['f1']
    assert row.kind == 'external' and f1.low < f1.value < f1.high
    assert cell(report, 'table4_CP', 'roc_auc', 2).note
    for key in ('table4', 'table4_overall', 'table4_CP'):  # states what its intervals cover
        assert '39 patients; for Other, of slices' in table(report, key).caption
    assert 'Other' not in table(report, 'table4_patients').caption
    assert not any('Other' in row.name for row in table(report, 'table4_differences').rows)
    no_nan(report)
    with pytest.raises(ValueError, match='different lists'):
        build_report([*slices, SliceRun('Other', CLASSES, own + 1, external=True)], lesions, RESAMPLES)
    with pytest.raises(ValueError, match='are named Other'):
        build_report([*slices, fitting, fitting], lesions, RESAMPLES)


def test_invalid_class_weights_are_rejected(two_runs):
    for wrong, message in (
        ((0.5, 0.5, 0.5), 'sum to 1'),
        ((1.5, -0.5, 0), 'at least 0'),
        ((float('nan'), 0.5, 0.5), 'at least 0'),
        ((0.5, 0.5), '2 class weights do not fit any table.*have 3 classes'),
    ):
        with pytest.raises(ValueError, match=message):
            report_of(two_runs[0], class_weights=wrong)


def test_two_results_of_a_folder_keep_their_own_figures(tmp_path):
    folder = write_results(tmp_path / 'a', [], lesion_records(12))
    write_results(folder, [], lesion_records(12, model_seed=3), name='results_2.json')
    report = report_of(folder)
    values = [row.cells['mAP'].value for row in table(report, 'table3').rows if row.kind == 'run']
    assert values == [pytest.approx(run.ap.mean()) for run in load_runs([folder])[1]] and values[0] != values[1]


def test_synthetic_slices_are_reported(tmp_path):
    folder = write_results(tmp_path / 'drawn', slice_records(30, 9), lesion_records(6), synthetic=True)
    report = report_of(folder)
    assert report.synthetic == ['drawn'] and 'Synthetic slices' in report.notes[0] and 'drawn' in report.notes[0]
    assert all(one.caption.startswith('Synthetic slices, not CT.') for one in report.tables)
    real = report_of(write_results(tmp_path / 'real', slice_records(30, 9)))
    assert not real.synthetic and not any('ynthetic' in text for text in [*real.notes, *(one.caption for one in real.tables)])
