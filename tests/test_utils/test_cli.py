"""Command-line options of configs, and how commands report errors."""

import argparse
import os
import signal
import subprocess
import sys
import time

import pytest
from mmdet.registry import MODELS

from mmaffinity.utils.cli import ConfigOptions, run_tool


@pytest.mark.parametrize('option', ['a=[(]', 'a', 'a=[1,2'])
def test_malformed_options_are_usage_errors(option, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    with pytest.raises(SystemExit, match='2'):
        parser.parse_args(['--cfg-options', option])
    error = capsys.readouterr().err
    assert f'argument --cfg-options: {option} is not KEY=VALUE with' in error and 'Traceback' not in error


def test_misspelt_field_name_is_a_usage_error(capsys, monkeypatch):
    def build(name):
        return MODELS.build(dict(type='GreyResNet', depth=18, **{name: 1}))

    with pytest.raises(SystemExit, match='2'):
        run_tool(lambda: build('chanels'))
    assert "unexpected keyword argument 'chanels'" in capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(TypeError, match='integer'):  # other errors of that kind are ours, and keep their traceback
        run_tool(lambda: range('a'))
    monkeypatch.setenv('MMAFFINITY_TRACEBACK', '1')
    with pytest.raises(TypeError, match='chanels'):
        run_tool(lambda: build('chanels'))


def test_valid_options_are_parsed():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    options = parser.parse_args(['--cfg-options', 'a.b=1', 'c=[1,2]', 'd=text', 'e=(3,4)', 'f=None', 'g=True']).cfg_options
    assert options == {'a.b': 1, 'c': [1, 2], 'd': 'text', 'e': (3, 4), 'f': None, 'g': True}


def test_a_path_with_a_space_is_kept():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    assert parser.parse_args(['--cfg-options', 'load_from=my work/a.pth']).cfg_options == {'load_from': 'my work/a.pth'}


def test_command_ends_with_its_parent_process(repo_root):
    """As when a plan is killed; the command would otherwise run for a minute."""
    code = (
        'import subprocess, sys, os\n'
        'child = subprocess.Popen([sys.executable, "-c", "import time; from mmaffinity.utils.cli import run_tool; '
        'print(flush=True); run_tool(lambda: time.sleep(60))"], env={**os.environ, "MMAFFINITY_PARENT": str(os.getpid())},'
        'stdout=sys.stdout)\nprint(child.pid, flush=True)\nchild.wait()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH': str(repo_root)}
    ) as parent:
        child = int((parent.stdout.readline() + parent.stdout.readline()).split()[0])
        time.sleep(0.5)
        os.kill(parent.pid, signal.SIGKILL)
        end = time.monotonic() + 30
        while _running(child):
            assert time.monotonic() < end
            time.sleep(0.1)


def _running(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def test_exit_codes(capsys, monkeypatch):
    def fail(error):
        raise error

    monkeypatch.delenv('MMAFFINITY_TRACEBACK', raising=False)
    assert run_tool(lambda: None) == 0 and run_tool(lambda: 1) == 1
    for error, code, message in (
        (ValueError('no slices'), 2, 'error: no slices'),
        (FileExistsError('an earlier result'), 2, 'error: an earlier result'),
        (KeyboardInterrupt(), 130, 'interrupted'),
    ):
        with pytest.raises(SystemExit) as ended:
            run_tool(lambda error=error: fail(error))
        assert ended.value.code == code and capsys.readouterr().err == f'{message}\n'
    with pytest.raises(RuntimeError, match='a bug'):  # with its traceback
        run_tool(lambda: fail(RuntimeError('a bug')))


def test_later_options_override_earlier_ones():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    words = ['--cfg-options', 'a=1', 'b=2', '--cfg-options', 'a=3']
    assert parser.parse_args(words).cfg_options == {'a': 3, 'b': 2}
