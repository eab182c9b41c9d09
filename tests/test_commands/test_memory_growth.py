"""The measurement of memory as a command."""

import sys

import pytest
from run_helpers import SMALL

from mmaffinity.utils.memory import process_memory
from mmaffinity_cli import main

pytestmark = pytest.mark.skipif(process_memory('VmRSS') is None, reason='this system does not report resident memory')


@pytest.fixture
def run(tiny_phantom, monkeypatch):
    fields = {**SMALL, 'data_root': tiny_phantom / 'cncb_ncov', 'model.backbone.init_cfg': None}
    options = [f'{key}={value}'.replace(' ', '') for key, value in fields.items()]

    def call(*words):
        monkeypatch.setattr(
            sys, 'argv', ['mmaffinity', 'memory-growth', 'affinity_c8_phantom', *words, '--cfg-options', *options]
        )
        main()

    return call


def test_growth_above_the_limit_ends_a_run_with_exit_code_2(run, tmp_path, monkeypatch, capsys):
    """Any change is above a negative limit."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match='2'):
        run('--iterations', '4', '--interval', '2', '--limit', '-100000')
    assert 'more than the limit of -100000 MiB' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # the run leaves no files


def test_too_few_iterations_for_two_rows_are_refused(run, capsys):
    with pytest.raises(SystemExit, match='2'):
        run('--iterations', '300')
    assert '--iterations 300 with --interval 200 gives fewer than two rows: use at least' in capsys.readouterr().err
