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


@pytest.fixture(scope='session')
def tiny_phantom(tmp_path_factory) -> Path:
    """A phantom of few small slices in both raw layouts, converted: `cncb_ncov/` and `ictcf/`."""
    from mmaffinity.datasets.conversion import convert_cncb_ncov, convert_ictcf
    from mmaffinity.datasets.phantom import write_phantom
    root = tmp_path_factory.mktemp('phantom') / 'phantom'
    write_phantom(root, size=128, slices_per_patient=2, lesions_train=8, lesions_test=4, slices_train=9,
                  slices_selected=6, slices_val=3, slices_test=6, ictcf_train=4, ictcf_test=4)
    convert_cncb_ncov(root / 'cncb_ncov', min_area=10)
    convert_ictcf(root / 'ictcf')
    return root
