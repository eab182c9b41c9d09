"""The demo: steps, goals and resuming."""

import argparse
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaffinity.commands import demo
from mmaffinity.commands.demo import FAR, FIRST, GOALS, SECOND, Steps, check_goals

pytestmark = pytest.mark.slow


def metrics(change=0.0):
    found = {FIRST: {}, SECOND: {}}
    for run, key, _, goal in GOALS:
        found[run][key] = goal + change
    return found


@pytest.mark.parametrize('change', [0.05, 0.0, 0.01 - FAR])
def test_goals_met_or_nearly_met(change):
    check_goals(metrics(change))


@pytest.mark.parametrize('run, key', [(run, key) for run, key, _, _ in GOALS])
def test_clearly_missed_goal_fails_the_demo(run, key):
    for value in (0.1, float('nan')):
        found = metrics()
        found[run][key] = value
        with pytest.raises(ValueError, match='far below the goal'):
            check_goals(found)


def test_steps_show_their_command_and_save_their_output(tmp_path, capsys):
    step = Steps(tmp_path / 'demo.log')
    step('See the commands', '--help', show=False)
    assert capsys.readouterr().out.startswith('\n[1/7] See the commands\n$ mmaffinity --help\ndone in ')
    assert (tmp_path / 'demo.log').read_text().startswith('usage: mmaffinity ')


def test_the_demo_ends_with_the_page_to_open(tmp_path, monkeypatch, capsys):
    def run(command, stdout):
        """What the commands leave for the demo itself."""
        options = dict(zip(command, command[1:]))
        if command[3] == 'train':
            assert '--resume' in command
            Path(options['--work-dir']).mkdir()
            (Path(options['--work-dir']) / 'last_checkpoint').write_text('epoch_1.pth')
        if command[3] == 'test':
            Path(options['--out']).write_text(json.dumps(dict(metrics=metrics()[Path(options['--work-dir']).name])))
            Path(options['--html']).touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(demo.subprocess, 'run', run)
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    demo.run(parser.parse_args(['--out', str(tmp_path / 'demo'), '--data', str(tmp_path / 'phantom')]))
    lines = capsys.readouterr().out.splitlines()
    page = tmp_path / 'demo' / FIRST / 'test.html'
    assert page.is_file() and lines[-1] == f'Open {page} in a browser to see the results and every tested slice'


def test_failing_step_stops_the_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(demo.subprocess, 'run', lambda *args, **kwargs: SimpleNamespace(returncode=2))
    assert demo.subprocess is subprocess
    with pytest.raises(ValueError, match='the step "Train" failed; its output is above'):
        Steps(tmp_path / 'demo.log')('Train', 'train', 'x')
