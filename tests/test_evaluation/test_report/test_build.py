"""The report's figures against scikit-learn and by hand, and every undefined value."""

import math

import numpy as np
import pytest
from report_helpers import CLASSES, lesion_records, slice_records, write_results

from mmaffinity.evaluation.functional import classification_report
from mmaffinity.evaluation.report import build_report, load_runs
from mmaffinity.evaluation.report.published import PAPER_TABLES
from mmaffinity.evaluation.report.runs import SliceRun

metrics = pytest.importorskip('sklearn.metrics')
RESAMPLES = 60


def report_of(*folders, **options):
    slices, lesions, notes = load_runs(folders)
    return build_report(slices, lesions, options.pop('num_resamples', RESAMPLES), notes=notes, **options)


def table(report, key):
    return next(table for table in report.tables if table.key == key)


def cell(report, key, metric, row=0):
    return table(report, key).rows[row].cells[metric]


@pytest.fixture(scope='module')
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    runs = []
    for index, quality in enumerate((1.5, 3.0)):
        runs.append(
            write_results(
                folder / f'm{index}',
                slice_records(240, 40, quality=quality, model_seed=index),
                lesion_records(20, model_seed=index),
            )
        )
    write_results(
        runs[1], slice_records(90, 30, seed=5, quality=3.0, model_seed=1, first=1000), name='results_val.json', split='val'
    )
    return runs


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


def no_nan(report):
    for one in report.tables:
        text = one.markdown()
        assert 'nan' not in text.lower().replace('dominant', ''), text
        for row in one.rows:
            for estimate in row.cells.values():
                assert estimate.value is None or np.isfinite(estimate.value)
                assert estimate.value is not None or estimate.note, (one.key, row.name)


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


def test_fixed_class_weights(two_runs):
    run = load_runs(two_runs)[0][0]
    report = report_of(*two_runs, class_weights=(0.45, 0.35, 0.2))
    assert cell(report, 'table4', 'f1').value == pytest.approx(
        classification_report(run.confusion, class_weights=(0.45, 0.35, 0.2)).f1
    )
    assert '0.45' in table(report, 'table4').caption


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


def test_an_interval_that_is_a_point_has_a_footnote(tmp_path):
    records = slice_records(60, 12)
    for record in records:
        record['pred'] = record['label']
    report = report_of(write_results(tmp_path / 'a', records))
    sensitivity = cell(report, 'table4', 'sensitivity/CP')
    assert (sensitivity.low, sensitivity.high) == (1, 1) and 'zero width' in sensitivity.note
    assert 'zero width' in table(report, 'table4').markdown()


def test_synthetic_slices_are_reported(tmp_path):
    folder = write_results(tmp_path / 'drawn', slice_records(30, 9), lesion_records(6), synthetic=True)
    report = report_of(folder)
    assert report.synthetic == ['drawn'] and 'Synthetic slices' in report.notes[0] and 'drawn' in report.notes[0]
    assert all(one.caption.startswith('Synthetic slices, not CT.') for one in report.tables)
    real = report_of(write_results(tmp_path / 'real', slice_records(30, 9)))
    assert not real.synthetic and not any('ynthetic' in text for text in [*real.notes, *(one.caption for one in real.tables)])


def test_published_figures_match_the_paper():
    """Every published number, retyped; shares in percent, average precisions as printed."""
    rows = {key: [list(row.values.values()) for row in PAPER_TABLES[key].rows if not row.confusion] for key in PAPER_TABLES}
    assert rows['table3'] == [
        [0.590, 0.389, 0.424],
        [0.571, 0.352, 0.391],
        [0.614, 0.382, 0.395],
        [0.603, 0.414, 0.422],
        [0.511, 0.301, 0.298],
        [0.565, 0.413, 0.352],
    ]
    percent = {key: [[round(100 * value, 2) for value in row] for row in rows[key]] for key in ('table4', 'table5', 'table7')}
    assert percent['table4'] == [[93.55, 96.93, 99.37, 97.37]]
    assert percent['table5'] == [
        [97.97, 97.22, 99.33, 98.31],
        [98.30, 97.10, 99.43, 98.38],
        [98.69, 98.18, 99.16, 98.41],
        [98.37, 96.78, 97.25, 97.31],
    ]
    assert percent['table7'] == [
        [95.73, 98.30, 97.53],
        [97.81, 97.39, 97.51],
        [99.35, 83.27, 87.88],
        [97.92, 91.46, 93.30],
        [97.00, 85.47],
    ]
    single, mask_net = (np.array(row.confusion) for row in PAPER_TABLES['table4'].rows[1:])
    assert single.sum() == mask_net.sum() == 21191
    assert classification_report(single, class_weights=(0.45, 0.35, 0.20)).f1 == pytest.approx(0.9676, abs=5e-5)
    assert classification_report(mask_net).accuracy == pytest.approx(0.9633, abs=5e-5)


def test_the_two_published_figures_of_one_class_have_a_footnote(two_runs):
    assert 'The paper gives both 99.37 and 99.47 %.' in table(report_of(*two_runs), 'table4').markdown()
