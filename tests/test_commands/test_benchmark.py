"""The benchmark as a command."""

import csv
import runpy
import sys

import pytest
from model_helpers import FAST
from scan_helpers import write_images

from mmaffinity_cli import main

pytestmark = pytest.mark.usefixtures('quick_unit')


@pytest.fixture(scope='module')
def config(repo_root):
    return repo_root / 'configs' / 'affinity_c8.py'


@pytest.mark.parametrize(
    'extra, first_words',
    [(['data'], ['classification', 'data']), (['--ablate', 'BatchNorm not folded'], ['as', 'BatchNorm'])],
    ids=['jobs', 'ablation'],
)
def test_command_writes_csv_and_prints_a_table(repo_root, config, tmp_path, monkeypatch, capsys, extra, first_words):
    options = [f'{key}={value!r}'.replace(' ', '').replace("'", '') for key, value in FAST.items()]
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'benchmark.py',
            str(config),
            '--jobs',
            'classification',
            *extra,
            '--threads',
            '1',
            '--runs',
            '1',
            '--warmup',
            '0',
            '--out',
            str(tmp_path / 'speed.csv'),
            '--cfg-options',
            *options,
        ],
    )
    runpy.run_path(str(repo_root / 'tools' / 'analysis_tools' / 'benchmark.py'), run_name='__main__')
    assert len((tmp_path / 'speed.csv').read_text().splitlines()) == 3
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-2:]] == first_words


@pytest.mark.parametrize(
    'options, message',
    [
        (['--ablate', '--precision', 'bfloat16'], '--ablate does not use --precision: omit it'),
        (['--backends', '--device', 'cuda', '--batch-sizes', '4'], '--backends does not use --batch-sizes, --device: omit it'),
        (['--ablate', '--threads', '1', '2'], '--ablate does not use more than one value of --threads: omit it'),
        (['--growth', 'growth.png', '--out', 'rows.csv'], '--growth does not use --out: omit it'),
        (['--scan', 'scans', '--ablate'], '--ablate and --scan measure different things: give one of them'),
    ],
)
def test_options_without_effect_are_refused(monkeypatch, capsys, options, message):
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'benchmark', 'affinity_c8', *options])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize('option, job', [('--ablate', 'data'), ('--backends', 'train')])
def test_command_refuses_jobs_that_it_would_not_time(monkeypatch, capsys, option, job):
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', 'benchmark', 'affinity_c8', option, '--jobs', 'classification', job])
    with pytest.raises(SystemExit):
        main()
    assert f'unknown: {job}; ' in capsys.readouterr().err


def test_times_of_a_scan_are_written_and_printed(tmp_path, model, monkeypatch, capsys):
    folder, out = write_images(tmp_path / 'in', 2), tmp_path / 'scan.csv'
    command = ['benchmark', *map(str, model), '--scan', str(folder), '--workers', '0', '--threads', '1', '--out', str(out)]
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', *command])
    assert main() in (None, 0)
    (row,) = csv.DictReader(out.read_text().splitlines())
    assert ','.join(row) == 'workers,slices,seconds,slices_per_second,waiting_seconds,waiting_share'
    assert row['slices'] == '2' and float(row['seconds']) > 0
    assert 'slices per second' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['mmaffinity', *command, '--precision', 'float16'])
    with pytest.raises(SystemExit):
        main()
    assert "precision must be one of auto, float32, bfloat16, not 'float16'" in capsys.readouterr().err
