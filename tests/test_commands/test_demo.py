"""The demo: steps, goals and resuming."""

import subprocess
from types import SimpleNamespace

import pytest

from mmaffinity.commands import demo
from mmaffinity.commands.demo import FAR, FIRST, GOALS, SECOND, Steps, check_goals, resumed

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


def test_training_is_resumed_from_its_checkpoint(tmp_path):
    assert resumed(tmp_path) == []
    (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')
    assert resumed(tmp_path) == ['--resume']


def test_steps_show_their_command_and_save_their_output(tmp_path, capsys):
    step = Steps(tmp_path / 'demo.log')
    step('See the commands', '--help', show=False)
    assert capsys.readouterr().out.startswith('\n[1/7] See the commands\n$ mmaffinity --help\ndone in ')
    assert (tmp_path / 'demo.log').read_text().startswith('usage: mmaffinity ')


def test_failing_step_stops_the_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(demo.subprocess, 'run', lambda *args, **kwargs: SimpleNamespace(returncode=2))
    assert demo.subprocess is subprocess
    with pytest.raises(ValueError, match='the step "Train" failed; its output is above'):
        Steps(tmp_path / 'demo.log')('Train', 'train', 'x')
