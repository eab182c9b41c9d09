"""Running a whole study as a command."""

import argparse

import pytest
from plan_helpers import TWO, write_plan

from mmaffinity.apis.plans.folder import command_line
from mmaffinity.commands import reproduce

pytestmark = pytest.mark.slow


def test_a_dry_run_writes_nothing(tmp_path, tiny_phantom, capsys, monkeypatch):
    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    path = write_plan(tmp_path / 'two.py', TWO)
    out = tmp_path / 'out'
    assert reproduce.run(parser.parse_args([str(tiny_phantom), '--plan', str(path), '--out', str(out), '--dry-run'])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[-1].endswith('--collect') and not out.exists()
    for arguments, words in (
        ([], 'missing DATA_ROOT'),
        (['/no/where'], 'folder /no/where does not exist'),
        ([str(tiny_phantom), '--phantom'], '--phantom has its own plan'),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            reproduce.run(parser.parse_args([*arguments, '--out', str(out)]))
    assert command_line(['test', 'a b']).endswith("test 'a b'")
