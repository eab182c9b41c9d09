"""Published rows, bold cells and paired differences."""

import pytest
from report_helpers import cell, report_of, slice_records, table, write_results

from mmaffinity.evaluation.report import load_runs
from mmaffinity.evaluation.report.published import PAPER_TABLES

pytest.importorskip('sklearn.metrics')


def test_best_in_bold_among_ours_and_published_rows_marked(two_runs):
    report = report_of(*two_runs)
    rows = table(report, 'table4').rows
    assert [row.kind for row in rows] == ['run', 'run'] + ['published'] * len(PAPER_TABLES['table4'].rows)
    assert 'f1' in rows[1].bold and 'f1' not in rows[0].bold and not any(row.bold for row in rows[2:])
    text = table(report, 'table4').markdown()
    assert '*(published)*' in text and '**' in text
    # Published matrices give the published figures.
    assert rows[3].name == 'Single-Shot Model' and rows[3].cells['f1'].value == pytest.approx(0.9676, abs=5e-5)


def test_segmentation_and_paired_differences(two_runs):
    report = report_of(*two_runs)
    runs = load_runs(two_runs)[1]
    assert cell(report, 'table3', 'mAP').value == pytest.approx(runs[0].ap.mean())
    assert cell(report, 'table3', 'AP75', 1).value == pytest.approx(runs[1].ap[:, 5].mean())
    difference = table(report, 'table4_differences').rows[0]
    expected = cell(report, 'table4', 'f1', 0).value - cell(report, 'table4', 'f1', 1).value
    assert difference.cells['f1'].value == pytest.approx(expected)
    assert 'f1' in difference.bold and difference.cells['f1'].high < 0
    same = report_of(two_runs[0], write_results(two_runs[0].parent / 'copy', slice_records(240, 40, quality=1.5)))
    nothing = table(same, 'table4_differences').rows[0].cells['f1']
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)


def test_runs_with_other_resamples_are_not_compared(tmp_path):
    """The slices of one list, whose patients only one of the results files names."""
    records = slice_records(60, 12)
    unknown = [{**record, 'patient_id': None} for record in slice_records(60, 12, model_seed=1)]
    report = report_of(write_results(tmp_path / 'a', records), write_results(tmp_path / 'b', unknown))
    patients = len({record['patient_id'] for record in records})
    assert f'bootstrap resamples of {patients} patients or 60 slices.' in table(report, 'table4').caption
    assert not any(one.key.endswith('_differences') for one in report.tables)
