"""`mmaffinity check-env` on this installation and on broken ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmaffinity_cli import check_env
from mmaffinity_cli.check_env import PACKAGES, check, main

FOUND = {
    'torch': '2.13.0',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'numpy': '2.2.6',
    'opencv-python': '4.12.0.88',
    'opencv-python-headless': '4.12.0.88',
    'pycocotools': '2.0.11',
    'mmaffinity': '0.1.0',
}
COMMAND = [sys.executable, '-c', 'import sys, mmaffinity_cli; sys.argv[1:1] = ["check-env"]; mmaffinity_cli.main()']


def run_command(*arguments, path=None, code=COMMAND):
    """Run the command in a new process; `path` comes before the installed packages."""
    root = Path(check_env.__file__).parent.parent
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(path)] * (path is not None) + [str(root)])}
    return subprocess.run([*code, *arguments], env=env, text=True, capture_output=True, cwd='/')


def write_package(folder, name, code):
    (folder / name).mkdir(parents=True)
    (folder / name / '__init__.py').write_text(code)


def fail(monkeypatch, package, error):
    """Let one package fail to load, and the others load."""
    monkeypatch.setattr(check_env, 'attempt', lambda code: (not code.startswith(f'import {package}'), error))


def test_this_installation():
    done = run_command()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ['python', 'platform', *PACKAGES, 'device']
    assert 'CPU cores' in lines[-2] and lines[-1] == 'mmaffinity can be used'
    assert 'does not load' not in done.stdout


def test_quiet_prints_nothing_if_all_is_well(monkeypatch, capsys):
    monkeypatch.setattr(check_env, 'versions', lambda: dict(FOUND))
    monkeypatch.setattr(check_env, 'attempt', lambda code: (True, ''))
    assert main(['--quiet']) == 0
    assert capsys.readouterr().out == ''


def test_torch_fails_in_a_real_process(tmp_path):
    """Without torch nothing else loads either: only torch is reported, and no traceback."""
    write_package(tmp_path, 'torch', 'raise ModuleNotFoundError("No module named \'torch\'")')
    done = run_command('--quiet', path=tmp_path)
    assert done.returncode == 1 and done.stderr == ''
    assert done.stdout.startswith('problem: torch does not load: ModuleNotFoundError')
    assert 'pip install --force-reinstall --no-deps torch' in done.stdout
    assert done.stdout.count('problem:') == 1


def test_package_that_crashes_the_process(tmp_path):
    write_package(tmp_path, 'mmengine', 'import os; os.abort()')
    done = run_command('--quiet', path=tmp_path)
    assert done.returncode == 1 and done.stderr == ''
    assert 'problem: mmengine does not load: the process ended with code -6' in done.stdout


@pytest.mark.parametrize(
    'arguments',
    [
        ('demo',),
        ('convert', 'class-folders', '.'),
        ('convert', 'published', 'in.pth', 'out.pth'),
        ('predict', '.', '--config=affinity_c8', '--checkpoint=a.pth', '--out=out'),
    ],
    ids=' '.join,
)
def test_a_command_of_a_broken_installation_names_check_env(tmp_path, arguments):
    """Commands that need torch for some inputs only lead to check-env too."""
    write_package(tmp_path, 'torch', "raise OSError('libfoo.so: cannot open')")
    done = run_command(path=tmp_path, code=[*COMMAND[:2], f'import mmaffinity_cli; mmaffinity_cli.main(*{arguments})'])
    assert done.returncode == 2
    assert done.stderr.startswith('mmaffinity: error: the package cannot be imported (OSError: libfoo.so')
    assert '"mmaffinity check-env" reports the problem' in done.stderr


def test_a_command_that_the_runtime_lacks_names_the_full_installation(tmp_path):
    write_package(tmp_path, 'torch', "raise ModuleNotFoundError('no torch', name='torch')")
    alone = 'import mmaffinity_cli; mmaffinity_cli._runtime_alone = lambda: True; mmaffinity_cli.main("demo")'
    done = run_command(path=tmp_path, code=[*COMMAND[:2], alone])
    assert done.returncode == 2
    assert done.stderr.startswith('mmaffinity: error: this needs torch, but mmaffinity-runtime is installed')
    assert 'install mmaffinity (docs/install.md)' in done.stderr and 'check-env' not in done.stderr


def test_both_lines_at_once(monkeypatch):
    monkeypatch.setattr(check_env, 'attempt', lambda code: (True, ''))
    _, problems = check({**FOUND, 'mmcv': '2.1.0', 'mmdet': '3.3.0'})
    assert len(problems) == 2
    assert 'mmcv comes from onedl-mmcv and mmcv at once' in problems[0][0]
    assert (
        problems[0][1] == f'{sys.executable} -m pip uninstall --yes onedl-mmcv mmcv && '
        f'{sys.executable} -m pip install onedl-mmcv'
    )
    assert 'pip uninstall --yes onedl-mmdetection mmdet && ' in problems[1][1]


def test_openmmlab_line_alone_is_fine(monkeypatch):
    monkeypatch.setattr(check_env, 'attempt', lambda code: (True, ''))
    lines, problems = check(
        {
            'torch': '2.13.0',
            'mmengine': '0.10.7',
            'mmcv-lite': '2.1.0',
            'mmdet': '3.3.0',
            'numpy': '1.26.4',
            'opencv-python': '4.9',
            'pycocotools': '2.0.11',
            'mmaffinity': '0.1.0',
        }
    )
    assert problems == [] and any(line.split() == ['mmcv', 'mmcv-lite', '2.1.0'] for line in lines)


@pytest.mark.parametrize(
    'torch, warned', [('2.9.1', True), ('2.6.0+cu124', True), ('2.10.0', False), ('2.13.0+cpu', False), ('3.0.0', False)]
)
def test_old_torch_is_a_warning(monkeypatch, capsys, torch, warned):
    monkeypatch.setattr(check_env, 'versions', lambda: {**FOUND, 'torch': torch})
    monkeypatch.setattr(check_env, 'attempt', lambda code: (True, ''))
    assert main([]) == 0
    assert ('warning: torch' in capsys.readouterr().out) == warned


def test_everything_missing_is_named_at_once(monkeypatch):
    fail(monkeypatch, 'cv2', "ModuleNotFoundError: No module named 'cv2'")
    _, problems = check({name: FOUND[name] for name in ('torch', 'numpy', 'pycocotools', 'mmaffinity')})
    assert [text for text, _ in problems] == ['cv2 is missing', 'mmengine is missing', 'mmcv is missing', 'mmdet is missing']
    assert problems[1][1].endswith('pip install onedl-mmengine')


def test_opencv_without_libgl(monkeypatch):
    fail(monkeypatch, 'cv2', 'ImportError: libGL.so.1: cannot open shared object file')
    lines, problems = check(FOUND)
    assert len(problems) == 1
    assert 'uninstall --yes opencv-python && ' in problems[0][1]
    assert problems[0][1].endswith('--no-deps opencv-python-headless')
    assert sum(line.endswith('not tried') for line in lines) == len(PACKAGES) - 3


def test_foreign_torchvision(monkeypatch):
    fail(monkeypatch, 'mmengine', 'RuntimeError: operator torchvision::nms does not exist')
    _, problems = check({**FOUND, 'torchvision': '0.29'})
    assert 'uninstall --yes torchvision' in problems[0][1]


@pytest.mark.parametrize('package', PACKAGES)
def test_every_failure_has_a_command(package, monkeypatch, capsys):
    monkeypatch.setattr(check_env, 'versions', lambda: dict(FOUND))
    for error in ('ImportError: x', "ModuleNotFoundError: No module named 'x'"):
        fail(monkeypatch, package, error)
        assert main([]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[-2] == f'problem: {package} does not load: {error}'
        assert lines[-1].startswith(f'    {sys.executable} -m pip ')
