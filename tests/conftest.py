"""What all tests share: where the real data is, small phantoms, silence on the network, and the count of skips."""
import os
import socket
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='session')
def repo_root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Folder with the real lists, slices and recorded outputs, which are not ours to redistribute."""
    folder = Path(os.environ.get('MMAFFINITY_SHARED', ROOT.parent / 'shared'))
    if not (folder / 'data').is_dir():
        pytest.skip(f'real data not present: no {folder}/data (set MMAFFINITY_SHARED)')
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail any attempt to reach another machine; loopback stays open for distributed tests."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family != socket.AF_UNIX and str(address[0]) not in ('127.0.0.1', '::1', 'localhost'):
            raise OSError(f'the tests run offline, but something connected to {address}')
        return connect(self, address)

    monkeypatch.setattr(socket.socket, 'connect', guarded)


def pytest_terminal_summary(terminalreporter):
    """Say how many tests were skipped, and why; also that none was."""
    reports = terminalreporter.stats.get('skipped', [])
    reasons = Counter(str(report.longrepr[2]).removeprefix('Skipped: ') for report in reports)
    terminalreporter.section('skipped tests')
    terminalreporter.write_line(f'{len(reports)} skipped' + (', because:' if reports else ''))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f'{count:6d}  {reason}')
