import os
import subprocess
import sys
import time

import pytest

from mmaffinity.utils import parent_watch


@pytest.mark.parametrize('own', [True, False], ids=['parent', 'process that asked a fork server'])
def test_process_ends_with_its_parent(own, monkeypatch):
    """The process runs as long as its parent, and then ends."""
    ended = []
    other = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    monkeypatch.setattr(parent_watch.os, '_exit', ended.append)
    if own:
        monkeypatch.setattr(parent_watch.os, 'getppid', lambda: other.pid if other.poll() is None else 1)

    rounds = iter(range(3))

    def sleep(seconds):
        assert not ended
        if next(rounds) == 2:
            other.communicate(b'\n')

    monkeypatch.setattr(time, 'sleep', sleep)
    parent_watch._watch(other.pid)
    assert ended == [1] and other.returncode is not None


def test_parent_already_gone(monkeypatch):
    ended = []
    monkeypatch.setattr(parent_watch.os, '_exit', ended.append)
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    assert gone.pid != os.getppid()
    parent_watch._watch(gone.pid)
    assert ended == [1]
