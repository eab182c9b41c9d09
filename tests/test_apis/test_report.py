"""The report on finished runs: its files."""

import csv
import json

import pytest
from report_helpers import lesion_records, slice_records, write_results

from mmaffinity.apis.report import CSV_FIELDS, write_report


@pytest.fixture
def runs(tmp_path):
    """Two models tested on the same slices, one of them also on validation slices, and lesions of both."""
    folders = []
    for seed, name in enumerate(('first', 'second')):
        slices = slice_records(60, 12, quality=1 + seed, model_seed=seed)
        folders.append(write_results(tmp_path / name, slices, lesion_records(8, model_seed=seed)))
    write_results(folders[0], slice_records(40, 9, seed=1, first=100), name='results_val.json', split='val')
    return folders


def test_tables_agree_in_all_formats(runs, tmp_path):
    said = []
    files = write_report(runs, tmp_path / 'out', num_resamples=10, progress=said.append)
    assert list(files) == ['markdown', 'csv', 'json', 'html'] and said
    content, text = json.loads(files['json'].read_text()), files['markdown'].read_text()
    with files['csv'].open(newline='') as file:
        rows = list(csv.DictReader(file))
    figures = [row for table in content['tables'] for row in table['figures']]
    assert tuple(rows[0]) == CSV_FIELDS and len(rows) == len(figures) > 20
    for row, figure in zip(rows, figures, strict=True):
        assert (row['model'], row['metric']) == (figure['model'], figure['metric'])
        if figure['value'] is not None:
            assert float(row['value']) == pytest.approx(figure['value'], abs=1e-6)
    own = {row['model'] for row in rows if row['kind'] not in ('published', 'seeds')}
    assert {'first', 'second'} <= own and all(f'| {name} |' in text for name in ('first', 'second'))
    # Only the first model has validation slices, on which the temperature is fitted.
    assert '](reliability_table4.png)' in text and (tmp_path / 'out/reliability_table4.pdf').is_file()


def test_the_same_seed_gives_the_same_report(runs, tmp_path):
    options = dict(num_resamples=10, html=False)
    files = [write_report(runs, tmp_path / str(number), seed=seed, **options) for number, seed in enumerate((0, 0, 1))]
    for kind in ('markdown', 'csv', 'json'):
        assert files[0][kind].read_bytes() == files[1][kind].read_bytes() != files[2][kind].read_bytes()
    assert 'html' not in files[0] and not list(tmp_path.glob('*/*.html'))


def test_runs_on_other_slices_and_missing_runs_are_rejected(runs, tmp_path):
    other = write_results(tmp_path / 'other', slice_records(10, 5, first=500))
    with pytest.raises(ValueError, match='other'):
        write_report([*runs, other], tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='absent'):
        write_report([*runs, tmp_path / 'absent'], tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='matrix.csv'):
        write_report(runs, tmp_path / 'out', {'theirs': tmp_path / 'matrix.csv'})
    assert not (tmp_path / 'out').exists()
