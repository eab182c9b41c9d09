"""Compile mmcv from its source package, and keep the wheel; `tools/setup_env.py` calls this.

mmcv has no wheels for current torch, so it is compiled here, once per combination of mmcv, torch, Python and
platform. The wheel is kept in ``$MMAFFINITY_CACHE`` (default ``~/.cache/mmaffinity``), outside the checkout.
Standard library only: it runs before anything is installed.
"""
from __future__ import annotations  # an older Python gets as far as the sentence about its version

import contextlib
import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

GIB = 2**30
# -O2 and -g0 halve the compile time of the extension against Python's own -O3 -g, at no cost in the ops we use.
CFLAGS = '-DNDEBUG -fwrapv -O2 -g0'
SCRATCH_PREFIX = 'mmaffinity-mmcv-'
# A compiler wrapper. The first compilation also precompiles the header that all of mmcv's sources include first, with
# exactly that compilation's flags (anything else makes GCC ignore the .gch); the others wait for it. It parses torch's
# headers once instead of 78 times. The second line is for sh, and a mere string for Python: unlike "#!", it bears
# spaces and long paths.
WRAPPER = '''\
#!/bin/sh
"exec" "{python}" "$0" "$@"
import fcntl, os, subprocess, sys
real, header, args = {compiler!r}, {header!r}, sys.argv[1:]
source = next((a for a in args if a.endswith(('.cpp', '.cc'))), '')
if '-c' in args and '/mmcv/ops/csrc/' in os.path.abspath(source):
    with open(header + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(header + '.tried'):
            flags, skip = [], 0
            for a in args:
                if skip:
                    skip -= 1
                elif a in ('-o', '-MF', '-MT', '-MQ'):
                    skip = 1
                elif a not in ('-c', '-MMD', '-MD', source):
                    flags.append(a)
            temporary = header + '.gch.part'
            done = subprocess.run([real, *flags, '-x', 'c++-header', header, '-o', temporary])
            if done.returncode == 0:
                os.replace(temporary, header + '.gch')
            open(header + '.tried', 'w').close()
os.execv(real, [real, *args])
'''
TORCH_FACTS = '''
import json, torch
gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
print(json.dumps({'version': torch.__version__, 'cuda': torch.version.cuda,
                  'gpus': sorted({'%d.%d' % torch.cuda.get_device_capability(i) for i in gpus})}))
'''


class SetupError(Exception):
    """Something that the user has to mend; the message says how."""


# Locks that this process holds. Its child processes inherit them: when it alone is killed, a pip that outlives it
# keeps the next set-up waiting instead of writing into the same environment.
LOCKS: list[int] = []


def say(text: str) -> None:
    print(f'setup: {text}', flush=True)


def run(*command: object, env: dict | None = None) -> None:
    words = [str(part) for part in command]
    if subprocess.run(words, env=env, pass_fds=LOCKS).returncode != 0:
        raise SetupError(f'this command failed, its output is above: {" ".join(words)}')


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[Path]:
    """Let one process at a time pass. The kernel frees the lock of a process that dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'another process is at work on {what}: waiting for it')
            fcntl.flock(file, fcntl.LOCK_EX)
        LOCKS.append(file.fileno())
        try:
            yield path
        finally:
            LOCKS.remove(file.fileno())


def check_space(folder: Path, gib: float, what: str, remedy: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < gib * GIB:
        raise SetupError(f'{what} takes {gib} GiB in {folder}, where {free / GIB:.1f} GiB are free; {remedy}')


def check_compiler() -> str:
    """Return the C++ compiler's path, or stop with one sentence on what a build would miss."""
    compiler = shutil.which(os.environ.get('CXX', 'g++')) or shutil.which('c++')
    if compiler is None:
        raise SetupError('no C++ compiler found, and mmcv has to be compiled; run: apt-get install g++ '
                         '(or give a ready wheel: make setup MMCV_WHEEL=/path/to/mmcv.whl)')
    if not Path(sysconfig.get_path('include'), 'Python.h').exists():
        raise SetupError(f'the headers of Python {platform.python_version()} are missing, and mmcv has to be compiled; '
                         f'run: apt-get install python3.{sys.version_info[1]}-dev')
    check_space(Path(tempfile.gettempdir()), 2, 'compiling mmcv', 'set TMPDIR to a folder on a larger disk')
    return compiler


def check_cuda(torch: dict) -> bool:
    """Return whether mmcv's CUDA ops get compiled (mmcv itself decides so), or stop with what they would miss."""
    if os.environ.get('FORCE_CUDA') != '1' and not torch['gpus']:
        return False
    if torch['cuda'] is None:
        raise SetupError(f'FORCE_CUDA=1 is set, but torch {torch["version"]} is a CPU build; see docs/install.md, or '
                         'run without FORCE_CUDA')
    if shutil.which('nvcc') is None and not Path(os.environ.get('CUDA_HOME', '/usr/local/cuda'), 'bin/nvcc').exists():
        raise SetupError(f'no nvcc found, and mmcv has to be compiled for CUDA {torch["cuda"]}; install that CUDA '
                         'toolkit and set CUDA_HOME, or give a ready wheel (make setup MMCV_WHEEL=...), or do without '
                         'the GPU (CUDA_VISIBLE_DEVICES= make setup)')
    return True


def cache_folder() -> Path:
    home = os.environ.get('MMAFFINITY_CACHE')
    if home:
        return Path(home).absolute()
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'mmaffinity'


def wheel_key(version: str, torch: dict, cuda: bool) -> str:
    """Name all that a compiled mmcv depends on; the name of its folder in the cache."""
    key = f'mmcv{version}-torch{torch["version"]}-cp{sys.version_info[0]}{sys.version_info[1]}-' \
          f'{platform.system().lower()}-{platform.machine()}-{"-".join(platform.libc_ver()) or "libc"}'
    if cuda:
        targets = os.environ.get('TORCH_CUDA_ARCH_LIST') or ' '.join(torch['gpus']) or 'all'
        key += f'-cuda{torch["cuda"]}-sm{re.sub(r"[^0-9a-zA-Z.+]+", "_", targets)}'
    return key


def whole_wheel(path: Path) -> bool:
    """Return whether a wheel is there and every byte of it is as its own checksums say."""
    try:
        with zipfile.ZipFile(path) as wheel:
            return wheel.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def cached_wheel(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.glob('*.whl')) if whole_wheel(path)), None)


def count_jobs() -> int:
    """Return how many compilers run side by side: each takes up to 1.5 GiB of memory."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return int(os.environ.get('MAX_JOBS') or max(1, min(len(os.sched_getaffinity(0)), int(memory / (1.5 * GIB)))))


@contextlib.contextmanager
def progress(source: Path, cuda: bool) -> Iterator[None]:
    """Say once a minute how far the compilation is."""
    folders = ['', 'cpu', 'cuda'] if cuda else ['', 'cpu']
    total = sum(len(list((source / 'mmcv/ops/csrc/pytorch' / name).glob('*.c[pu]*'))) for name in folders)
    start, stop = time.time(), threading.Event()

    def watch() -> None:
        while not stop.wait(60):
            done = sum(1 for _ in (source / 'build').rglob('*.o'))
            if done:
                left = (time.time() - start) * max(0, total - done) / done / 60
                say(f'{done} of {total} files compiled, about {left:.0f} min left')

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def compile_wheel(python: Path, version: str, cuda: bool, compiler: str, scratch: Path) -> Path:
    """Compile mmcv and return the wheel, which lies in the scratch folder."""
    run(python, '-m', 'pip', 'download', '--quiet', '--no-deps', '--no-build-isolation', '--no-binary', 'onedl-mmcv',
        '--dest', scratch, f'onedl-mmcv=={version}')
    with tarfile.open(next(scratch.glob('*.tar.gz'))) as package:
        package.extractall(scratch, **({'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}))
    source = next(path for path in scratch.iterdir() if path.is_dir())
    header = source / 'mmcv/ops/csrc/common/pytorch_cpp_helper.hpp'
    wrapper = scratch / 'bin' / 'g++'
    wrapper.parent.mkdir()
    wrapper.write_text(WRAPPER.format(python=sys.executable, compiler=compiler, header=str(header)))
    wrapper.chmod(0o755)
    env = dict(os.environ, CXX=str(wrapper), CFLAGS=CFLAGS, CXXFLAGS=CFLAGS, MAX_JOBS=str(count_jobs()),
               PATH=f'{python.parent}{os.pathsep}{os.environ["PATH"]}')
    with progress(source, cuda):
        run(python, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--wheel-dir',
            scratch / 'out', source, env=env)
    return next((scratch / 'out').glob('*.whl'))


def get_mmcv(python: Path, version: str) -> Path:
    """Return a wheel of mmcv for this torch, Python and platform, compiled unless the cache holds it.

    Args:
        python: interpreter of the environment, which has torch, setuptools and ninja already.
        version: of the distribution onedl-mmcv.

    Raises:
        SetupError: if something is missing for the compilation, or it fails.
    """
    torch = json.loads(subprocess.check_output([str(python), '-c', TORCH_FACTS], text=True).splitlines()[-1])
    cuda = check_cuda(torch)
    folder = cache_folder() / 'wheels' / wheel_key(version, torch, cuda)
    with locked(folder.with_name(f'{folder.name}.lock'), f'mmcv {version}') as lock:
        wheel = cached_wheel(folder)
        if wheel is not None:
            say(f'mmcv {version}: taking {wheel}')
            return wheel
        compiler = check_compiler()
        # The lock file names the scratch folder of its holder, so that one left by a kill does not stay for ever.
        left = Path(lock.read_text().strip() or '.')
        if left.name.startswith(SCRATCH_PREFIX):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX) as scratch:
            lock.write_text(scratch)
            start = time.time()
            say(f'mmcv {version}: compiling for torch {torch["version"]} with {count_jobs()} jobs; '
                'this takes 12 minutes of one core, once')
            built = compile_wheel(python, version, cuda, compiler, Path(scratch))
            folder.mkdir(parents=True, exist_ok=True)
            # Written aside and renamed: whoever looks into the cache sees a whole wheel or none.
            part = folder / f'{built.name}.part'
            shutil.copyfile(built, part)
            os.replace(part, folder / built.name)
        say(f'mmcv {version}: compiled in {time.time() - start:.0f} s, kept in {folder}')
        return folder / built.name
