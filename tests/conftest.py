"""What all tests share: where the real data is, small phantoms, silence on the network, and the count of skips."""

import functools
import gc
import ipaddress
import os
import shutil
import socket
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

if 'PYTEST_XDIST_WORKER' in os.environ:
    # Before torch is imported, and for the processes that tests start: the workers share the cores.
    os.environ.setdefault('OMP_NUM_THREADS', '1')

# Before any mmdet.models, which needs mmcv's compiled operations unless this package supplies its own.
import mmaffinity  # noqa: E402, F401, I001
import mmengine.config.utils  # noqa: E402
import mmengine.dataset.base_dataset  # noqa: E402
import mmengine.runner.runner  # noqa: E402
import yapf.yapflib.yapf_api  # noqa: E402

# These take MMEngine longer than the small runs here: reading a hundred metafiles for each config that inherits from
# MMDetection, formatting the config for every log and checkpoint, and collecting garbage for every data set.
mmengine.config.utils.load = functools.cache(mmengine.config.utils.load)
yapf.yapflib.yapf_api.FormatCode = lambda code, **_: (code, True)
mmengine.dataset.base_dataset.gc = SimpleNamespace(collect=lambda: 0)


class _DistinctSeconds:
    """The time of MMEngine's runners, which name their logs by the second in which they start; some runs here take less."""

    def __init__(self) -> None:
        self._last = 0.0
        self.strftime, self.localtime = time.strftime, time.localtime

    def time(self) -> float:
        self._last = max(time.time(), self._last + 1)
        return self._last


mmengine.runner.runner.time = _DistinctSeconds()

ROOT = Path(__file__).resolve().parent.parent
# Few examples in the suite, many by night: HYPOTHESIS_PROFILE=fuzz python -m pytest tests/test_fuzz.py
settings.register_profile(
    'fuzz',
    max_examples=int(os.environ.get('MMAFFINITY_FUZZ_EXAMPLES', '2000')),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
settings.register_profile('suite', deadline=None, derandomize=True, database=None)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'suite'))


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


def is_local(host: object) -> bool:
    """Return whether a host is this machine, as seen from itself."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, '', 'localhost', socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(name).split('%')[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail a test that tries to reach another machine, also where the code that it tests swallows the error.

    Loopback and Unix sockets stay open for distributed tests. What compiled code (gloo) and other processes do is not
    seen.
    """
    attempts = []

    def refuse(what: str) -> None:
        attempts.append(what)
        raise OSError(f'the tests run offline, but something tried to {what}')

    def guard_address(name):
        original = getattr(socket.socket, name)

        def guarded(self, *arguments):
            address = arguments[-1]
            if self.family != socket.AF_UNIX and not (isinstance(address, tuple) and is_local(address[0])):
                refuse(f'{name} to {address}')
            return original(self, *arguments)

        monkeypatch.setattr(socket.socket, name, guarded)

    def guard_lookup(name):
        original = getattr(socket, name)

        def guarded(host, *arguments, **keywords):
            if not is_local(host):
                refuse(f'look up {host!r}')
            return original(host, *arguments, **keywords)

        monkeypatch.setattr(socket, name, guarded)

    for name in ('connect', 'connect_ex', 'sendto'):
        guard_address(name)
    for name in ('getaddrinfo', 'gethostbyname', 'gethostbyname_ex'):
        guard_lookup(name)
    yield attempts
    if attempts:
        pytest.fail(f'the tests run offline, but this one tried to {"; ".join(attempts)}', pytrace=False)


def pytest_collection_modifyitems(items):
    """Mark what needs real data."""
    for item in items:
        if 'shared_dir' in getattr(item, 'fixturenames', ()):
            item.add_marker('shared_data')


def pytest_collection_finish():
    """Spare garbage collections what lives as long as the process."""
    gc.collect()
    gc.freeze()


def pytest_pycollect_makeitem(name, obj):
    """Collect nothing that a test file imports from the package, such as `test_model`, whatever its name."""
    return [] if getattr(obj, '__module__', '').partition('.')[0] == 'mmaffinity' else None


def pytest_terminal_summary(terminalreporter):
    """Say how many tests were skipped, and why; also that none was."""
    reports = terminalreporter.stats.get('skipped', [])
    reasons = Counter(str(report.longrepr[2]).removeprefix('Skipped: ') for report in reports)
    terminalreporter.section('skipped tests')
    terminalreporter.write_line(f'{len(reports)} skipped' + (', because:' if reports else ''))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f'{count:6d}  {reason}')


@pytest.fixture(scope='module')
def browser():
    """A headless Chromium, or a skip."""
    from browser_helpers import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope='session')
def tiny_phantom(tmp_path_factory) -> Path:
    """A phantom of few small slices in both raw layouts, converted: `cncb_ncov/` and `ictcf/`."""
    from mmaffinity.datasets.conversion import convert_cncb_ncov, convert_ictcf
    from mmaffinity.datasets.phantom.writer import write_phantom

    root = tmp_path_factory.mktemp('phantom') / 'phantom'
    write_phantom(
        root,
        size=128,
        slices_per_patient=2,
        lesions_train=8,
        lesions_test=4,
        slices_train=9,
        slices_selected=6,
        slices_val=3,
        slices_test=6,
        ictcf_train=4,
        ictcf_test=4,
    )
    convert_cncb_ncov(root / 'cncb_ncov', min_area=10)
    convert_ictcf(root / 'ictcf')
    return root


def made_once(tmp_path_factory, name: str, make) -> Path:
    """Return a folder of the whole run, filled by the first of the test processes that asks for it."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if 'PYTEST_XDIST_WORKER' in os.environ else root
    folder, done = root / name, root / f'{name}.done'
    with FileLock(root / f'{name}.lock'):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope='session')
def narrow_phantom(repo_root, tiny_phantom, tmp_path_factory) -> tuple[Path, Path, dict]:
    """A narrow, untrained model for the tiny phantom: config, checkpoint of epoch 3, and overrides of the config."""
    import torch
    from model_helpers import FAST, build_model

    checkpoint = tmp_path_factory.mktemp('narrow') / 'epoch_3.pth'
    torch.save({'state_dict': build_model().state_dict(), 'meta': {'epoch': 3}}, checkpoint)
    overrides = {**FAST, 'model.backbone.init_cfg': None, 'data_root': str(tiny_phantom / 'cncb_ncov')}
    return repo_root / 'configs' / 'affinity_c8_phantom.py', checkpoint, overrides


@pytest.fixture(scope='session')
def exported(tmp_path_factory, repo_root) -> tuple[Path, Path, Path]:
    """A narrow, untrained model: config, checkpoint, and its export to ONNX."""
    for name in ('onnx', 'onnxscript'):
        pytest.importorskip(name)
    from scan_helpers import write_model

    from mmaffinity.apis.onnx_export import export_onnx

    def make(folder):
        export_onnx(*write_model(folder, repo_root), folder / 'narrow.onnx')

    folder = made_once(tmp_path_factory, 'exported', make)
    return folder / 'narrow.py', folder / 'model_0.pth', folder / 'narrow.onnx'


@pytest.fixture(scope='session')
def exported_int8(exported, tmp_path_factory) -> Path:
    """The same model in int8, calibrated on three slices."""
    pytest.importorskip('onnxruntime')
    from scan_helpers import write_images

    from mmaffinity.apis.onnx_export import export_onnx

    def make(folder):
        export_onnx(*exported[:2], folder / 'int8.onnx', int8=[write_images(folder / 'slices', 3)])

    return made_once(tmp_path_factory, 'int8', make) / 'int8.onnx'


@pytest.fixture
def quick_unit(monkeypatch):
    """Replace the processor's speed that benchmarks measure, which takes longer than everything else in their tests."""
    monkeypatch.setattr('mmaffinity.apis.benchmark.matrix_product_gflops', lambda device: 50.0)
