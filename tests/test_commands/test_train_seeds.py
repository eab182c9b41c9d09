"""A series of seeds as a command."""

import json
import sys

import pytest

from mmaffinity.apis.plans import local
from mmaffinity_cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command; trainings take no time, and the metrics of a test depend on the seed only."""

    def call(step, log, environment):
        step.makes.parent.mkdir(parents=True, exist_ok=True)
        seed = int(step.makes.parent.name.removeprefix('seed_'))
        step.makes.write_text(json.dumps({'metrics': {'slice/f1': 0.5 + seed / 10, 'lesion/mAP': None}}))
        return 0

    monkeypatch.setattr(local, '_call', call)

    def command(*options):
        words = ['train-seeds', 'affinity_c8_phantom', '--work-dir', str(tmp_path / 'runs'), *options]
        monkeypatch.setattr(sys, 'argv', ['mmaffinity', *words])
        main()

    return command


def test_mean_and_spread_over_consecutive_seeds(run, tmp_path, capsys):
    run('--seeds', '3', '--first', '1')
    *_, head, _, row = capsys.readouterr().out.splitlines()
    assert head.split() == ['metric', 'mean', 'std', 'lowest', 'highest', 'seeds', '1', 'to', '3']
    # 0.6, 0.7 and 0.8; the metric that no seed has is left out.
    assert row.split() == ['slice/f1', '0.700', '0.100', '0.600', '0.800', '0.600', '0.700', '0.800']
    assert sorted(path.name for path in (tmp_path / 'runs').glob('seed_*')) == ['seed_1', 'seed_2', 'seed_3']


def test_one_seed_has_no_spread(run, capsys):
    run('--seeds', '1')
    assert capsys.readouterr().out.splitlines()[-1].split() == ['slice/f1', '0.500', '-', '0.500', '0.500', '0.500']


def test_invalid_seeds_are_reported(run, capsys):
    for options in (('--seeds', '0'), ('--first', '-1')):
        with pytest.raises(SystemExit, match='2'):
            run(*options)
        assert 'seeds must be distinct numbers from 0' in capsys.readouterr().err
