"""Cross-validation in reports: pooled figures, and those of each fold."""

import numpy as np
import pytest
from report_helpers import lesion_records, slice_records, write_results

from mmaffinity.evaluation.report import build_report, load_runs

FOLDS = 3


@pytest.fixture
def folds(tmp_path):
    """Slices of 30 patients, of which each fold tests a third."""
    slices, lesions = slice_records(120, 30, seed=1), lesion_records(24)
    for index in range(FOLDS):
        write_results(
            tmp_path / f'study_fold{index}',
            [row for row in slices if int(row['patient_id']) % FOLDS == index],
            [row for row in lesions if int(row['patient_id']) % FOLDS == index],
            metrics={'slice/f1': 0.7 + 0.1 * index},
            config_sha256=f'own {index}',
            checkpoint=f'{index}.pth',
            fold=dict(index=index, of=FOLDS, config_sha256='common'),
        )
    write_results(tmp_path / 'whole', slices, lesions, config_sha256='other')
    return [tmp_path / f'study_fold{index}' for index in range(FOLDS)]


def test_pooled_folds_are_one_run_over_all_slices(folds, tmp_path):
    runs, lesion_runs, notes = load_runs([*folds, tmp_path / 'whole'])
    whole, pooled = runs
    assert pooled.name == 'study (3 of 3 folds)' and not notes
    assert pooled.paths == whole.paths and (pooled.confusion == whole.confusion).all()
    assert (lesion_runs[1].ap == lesion_runs[0].ap).all()
    report = build_report(runs, lesion_runs, num_resamples=50)  # in one table, because they were tested on the same slices
    tables = {table.key: table for table in report.tables}
    rows = {row.name: row for row in tables['table4'].rows}
    assert rows['whole'].cells['f1'].value == rows['study (3 of 3 folds)'].cells['f1'].value
    each = tables['folds_study (3 of 3 folds)']
    assert [row.name for row in each.rows] == ['0', '1', '2', 'all']
    cell = each.rows[-1].cells['slice/f1']
    assert np.allclose([cell.value, cell.low, cell.high, cell.std], [0.8, 0.7, 0.9, 0.1])
    assert '80.00 \u00b1 10.00 (70.00 to 90.00)' in each.markdown()


def test_missing_fold_is_reported(folds):
    runs, _, notes = load_runs(folds[:1] + folds[2:])
    assert runs[0].name == 'study (2 of 3 folds)'
    assert notes == ['study: results are missing for 1 fold of 3 (1), so the pooled results lack their patients.']


def test_duplicate_fold_is_rejected(folds, tmp_path):
    other = tmp_path / 'again' / 'study_fold0'
    other.parent.mkdir()
    folds[0].rename(other)
    (tmp_path / 'first').mkdir()
    again = tmp_path / 'again' / 'study_fold_0'
    again.mkdir()
    (again / 'results.json').write_bytes((other / 'results.json').read_bytes())
    with pytest.raises(ValueError, match='are both fold 0 of study; use only one of them'):
        load_runs([other, again, folds[1]])


def test_seeds_of_an_experiment_are_not_pooled(folds, tmp_path):
    """Folders of the second seed have another suffix."""
    for fold in folds:
        other = tmp_path / f'{fold.name}_seed1'
        other.mkdir()
        (other / 'results.json').write_text((fold / 'results.json').read_text().replace('.pth', '_1.pth'))
    runs, *_ = load_runs([*folds, *(tmp_path / f'{fold.name}_seed1' for fold in folds)])
    assert [run.name for run in runs] == ['study (3 of 3 folds)', 'study_seed1 (3 of 3 folds)']
    assert any('2 seeds' in row.name for row in build_report(runs, [], num_resamples=20).tables[0].rows)
