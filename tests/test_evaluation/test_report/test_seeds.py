"""Rows over several runs of one config."""

import numpy as np
import pytest
from report_helpers import lesion_records, slice_records, write_results

from mmaffinity.evaluation.functional.bootstrap import Estimate
from mmaffinity.evaluation.report import build_report, load_runs
from mmaffinity.evaluation.report.seeds import add_seed_rows
from mmaffinity.evaluation.report.tables import RUN, SEEDS, Column, Row, Table

pytest.importorskip('sklearn.metrics')


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Three seeds of a config, and one run of another."""
    root = tmp_path_factory.mktemp('runs')
    return [
        write_results(
            root / name,
            slice_records(90, 30, quality=1.5 + seed / 2, model_seed=seed),
            lesion_records(10, model_seed=seed),
            config_sha256=digest,
            checkpoint_sha256=name,
        )
        for seed, (name, digest) in enumerate((('c8/seed_0', 'aa'), ('c8/seed_1', 'aa'), ('c8/seed_2', 'aa'), ('other', 'bb')))
    ]


def report_of(folders):
    slices, lesions, notes = load_runs(folders)
    return build_report(slices, lesions, 40, notes=notes)


def test_every_table_shows_the_spread(folders):
    report = report_of(folders)
    seen = 0
    for table in report.tables:
        spreads = [row for row in table.rows if row.kind == SEEDS]
        if table.key.endswith('_differences'):
            assert not spreads
            continue
        assert len(spreads) == (2 if table.key.endswith(('_scans', '_patients')) else 1), table.key  # two rules there
        for spread in spreads:
            assert spread.name.startswith('config, 3 seeds') and not spread.bold
            rule = spread.name.removeprefix('config, 3 seeds')
            place = table.rows.index(spread)
            members = [
                row for row in table.rows if row.kind == RUN and row.name.startswith('seed_') and row.name.endswith(rule)
            ]
            assert len(members) == 3 and max(map(table.rows.index, members)) < place
            for column in table.columns:
                values = [row.cells[column.metric].value for row in members]
                cell = spread.cells.get(column.metric)
                if None in values:
                    assert cell is None
                    continue
                assert cell.value == pytest.approx(np.mean(values)) and cell.std == pytest.approx(np.std(values, ddof=1))
                assert (cell.low, cell.high) == (min(values), max(values))
                seen += 1
    assert seen > 40
    assert any(
        'seed_0, seed_1, seed_2 tested different checkpoints of config, which are assumed to differ only in' in note
        for note in report.notes
    )


def test_runs_of_other_configs_or_the_same_weights_are_not_seeds(folders, tmp_path):
    assert not any(row.kind == SEEDS for table in report_of([folders[0], folders[3]]).tables for row in table.rows)
    twice = [
        write_results(tmp_path / name, slice_records(30, 6), config_sha256='aa', checkpoint_sha256='same')
        for name in ('a', 'b')
    ]
    assert not any(row.kind == SEEDS for table in report_of(twice).tables for row in table.rows)
    unknown = [write_results(tmp_path / name, slice_records(30, 6), checkpoint_sha256=name) for name in ('c', 'd')]
    assert not any(row.kind == SEEDS for table in report_of(unknown).tables for row in table.rows)


def test_figure_missing_for_some_seeds(folders):
    runs = load_runs(folders[:3])[0]
    table = Table('table4', 'T', '', [Column('f1', 'F1 %'), Column('x', 'X')], 'table4')
    for run, value in zip(runs, (0.5, None, 0.7)):
        table.rows.append(Row(run.name, RUN, {'f1': Estimate(value), 'x': Estimate(None, note='why')}))
    add_seed_rows([table], runs)
    cell = table.rows[3].cells['f1']
    assert cell.value == pytest.approx(0.6) and cell.note == 'from 2 of 3 seeds; undefined for the others'
    assert 'x' not in table.rows[3].cells
    assert '| config, 3 seeds | 60.00 \u00b1 14.14 (50.00 to 70.00) [' in table.markdown()
    record = next(record for record in table.records() if record['kind'] == SEEDS)
    assert record['std'] == pytest.approx(0.1 * 2**0.5) and (record['low'], record['high']) == (0.5, 0.7)
