"""The report as a command."""

import json
import sys

import pytest
from report_helpers import slice_records, write_results

from mmaffinity_cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    folder = write_results(tmp_path / 'mine', slice_records(30, 9))

    def call(*options):
        words = [str(folder), '--out', str(tmp_path / 'out'), '--resamples', '5', '--no-html', *options]
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'report', *words])
        main()

    return call


def test_files_are_listed(run, tmp_path, capsys):
    labels = [record['label'] for record in slice_records(30, 9)]
    zero, one, two = map(labels.count, range(3))
    (tmp_path / 'theirs=1.csv').write_text(
        f'truth,Normal,CP,COVID-19\nNormal,{zero},0,0\nCP,1,{one - 1},0\nCOVID-19,0,0,{two}\n'
    )
    run('--external', f'Theirs={tmp_path / "theirs=1.csv"}', '--seed', '3', '--class-weights', '0.5', '0.25', '0.25')
    files = [tmp_path / 'out' / f'report.{kind}' for kind in ('md', 'csv', 'json')]
    assert capsys.readouterr().out.splitlines()[-3:] == list(map(str, files)) and all(file.is_file() for file in files)
    assert not (tmp_path / 'out/report.html').exists()
    models = {row['model'] for table in json.loads(files[2].read_text())['tables'] for row in table['figures']}
    assert {'mine', 'Theirs'} <= models


@pytest.mark.parametrize(
    'options, message',
    [
        (['--external', 'matrix.csv'], "--external takes NAME=FILE, not 'matrix.csv'"),
        (['--external', '=matrix.csv'], "--external takes NAME=FILE, not '=matrix.csv'"),
        (['--external', 'A=a.csv', '--external', 'A=b.csv'], '--external A is given twice: choose another name'),
        (['--external', 'A=absent.csv'], 'absent.csv'),
        (['--class-weights', '0.5', '0.5'], 'weights'),
    ],
)
def test_misuse_is_reported_before_anything_is_written(run, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as ended:
        run(*options)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error and 'Traceback' not in error
    assert not (tmp_path / 'out/report.md').exists()
