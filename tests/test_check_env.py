"""mmaffinity.check_env on this installation and on broken ones."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmaffinity import check_env
from mmaffinity.check_env import PROVIDERS, STEPS, TESTED, Facts, find_problems, main

WHOLE = {'torch': '2.13.0+cpu', 'numpy': '2.2.6', 'opencv': '4.12.0', 'pycocotools': '2.0.11', 'mmengine': '0.10.12',
         'mmcv': '2.3.6', 'mmcv ops': 'run', 'mmdet': '3.5.1', 'mmaffinity': '0.1.0', 'device': 'CPU: 2 cores'}
ONEDL = {'torch': '2.13.0', 'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmdetection': '3.5.1',
         'numpy': '2.2.6', 'opencv-python': '4.12.0.88', 'opencv-python-headless': '4.12.0.88', 'pycocotools': '2.0.11'}
OPENMMLAB = {'torch': '2.1.2', 'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmdet': '3.3.0'}


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """Pretend that the environment was not made by `make setup`; tests that want that say so."""
    monkeypatch.setattr(check_env, 'made_by_setup', lambda: False)


def broken(errors=(), distributions=ONEDL, **works):
    """Return the facts of an installation in which the named step fails, so that no later one is tried."""
    errors = dict(errors)
    tried = STEPS[:min((STEPS.index(step) for step in errors), default=len(STEPS))]
    results = {step: value for step, value in {**WHOLE, **works}.items() if step in tried}
    return Facts(python=(3, 11, 7), distributions=dict(distributions), works=results, errors=errors)


def run_module(*arguments, path=None, **env):
    """Run the command in a new process; `path` comes before the installed packages."""
    root = Path(check_env.__file__).parent.parent
    env = {**os.environ, **env, 'PYTHONPATH': os.pathsep.join([str(path)] * (path is not None) + [str(root)])}
    return subprocess.run([sys.executable, '-m', 'mmaffinity.check_env', *arguments], env=env, text=True,
                          capture_output=True, cwd='/')


def write_package(folder: Path, name: str, code: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / '__init__.py').write_text(code)


def test_this_installation():
    done = run_module()
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ('python', *STEPS):
        assert any(line.startswith(name) for line in done.stdout.splitlines()), name
    assert 'nms and roi_align run on cpu' in done.stdout and 'CPU: ' in done.stdout


def test_quiet_says_nothing_when_all_is_well(monkeypatch, capsys):
    monkeypatch.setattr(check_env, 'collect', broken)
    assert main(['--quiet']) == 0
    assert capsys.readouterr().out == ''


def test_torch_missing_in_a_real_process(tmp_path):
    """Without torch nothing else loads either: only torch is reported, and no traceback."""
    write_package(tmp_path, 'torch', "raise ModuleNotFoundError(\"No module named 'torch'\")")
    done = run_module('--quiet', path=tmp_path)
    assert done.returncode == 1 and done.stderr == ''
    assert done.stdout.startswith('problem: torch does not load: ModuleNotFoundError')
    assert 'pip install torch==' in done.stdout or 'make -C' in done.stdout
    assert done.stdout.count('problem:') == 1


def test_ops_missing_in_a_real_process(tmp_path):
    write_package(tmp_path, 'mmcv', "__version__ = '2.3.6'")
    done = run_module('--quiet', path=tmp_path)
    assert done.returncode == 1 and done.stderr == ''
    assert done.stdout.startswith("problem: mmcv's compiled ops do not work: ModuleNotFoundError: ")


def test_a_package_that_ends_the_process(tmp_path):
    write_package(tmp_path, 'mmengine', 'import os; os.abort()')
    done = run_module('--quiet', path=tmp_path)
    assert done.returncode == 1 and done.stderr == ''
    assert 'problem: mmengine does not load: the process ended with code -6' in done.stdout


def test_the_package_names_the_command(tmp_path):
    """`import mmaffinity` on a broken installation leads to check_env."""
    write_package(tmp_path, 'mmengine', "raise OSError('libfoo.so: cannot open')")
    root = str(Path(check_env.__file__).parent.parent)
    done = subprocess.run([sys.executable, '-c', 'import mmaffinity'], text=True, capture_output=True,
                          env={**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{root}'})
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: mmaffinity cannot be loaded (OSError: libfoo.so')
    assert last.endswith('python -m mmaffinity.check_env')


def test_both_lines_at_once():
    found = find_problems(broken(distributions={**ONEDL, 'mmcv': '2.1.0', 'mmdet': '3.3.0'}))
    assert [finding.serious for finding in found] == [True, True]
    assert 'mmcv comes from onedl-mmcv and mmcv at once' in found[0].text
    assert f'{sys.executable} -m pip uninstall --yes onedl-mmcv mmcv && ' in found[0].command
    assert '--no-deps onedl-mmcv==2.3.6' in found[0].command
    assert 'pip uninstall --yes onedl-mmdetection mmdet && ' in found[1].command


def test_both_lines_in_an_environment_of_make_setup(monkeypatch):
    monkeypatch.setattr(check_env, 'made_by_setup', lambda: True)
    found = find_problems(broken(distributions={**ONEDL, 'mmengine': '0.10.7'}))
    assert len(found) == 1 and found[0].command.startswith(f'rm -rf {sys.prefix} && make -C ')


def test_ops_missing(monkeypatch):
    facts = broken({'mmcv ops': 'ImportError: _ext.so: undefined symbol'})
    found = find_problems(facts)
    assert len(found) == 1 and found[0].text.startswith("mmcv's compiled ops do not work")
    assert 'uninstall --yes onedl-mmcv && ' in found[0].command and '--no-cache-dir' in found[0].command
    monkeypatch.setattr(check_env, 'made_by_setup', lambda: True)
    monkeypatch.setenv('MMAFFINITY_CACHE', '/c a/che')
    assert "'/c a/che/wheels' && make -C" in find_problems(facts)[0].command  # the cached wheel is bad too


def test_openmmlab_line_keeps_its_line():
    found = find_problems(broken({'mmcv ops': 'ImportError: x'}, OPENMMLAB, torch='2.1.2'))
    assert found[0].command.endswith('--no-deps mmcv')
    assert not found[1].serious and 'CVE-2025-32434' in found[1].text and 'CVE-2026-24747' in found[1].text


@pytest.mark.parametrize('torch, warned', [('2.9.1', True), ('2.6.0+cu124', True), ('2.10.0', False),
                                           ('2.13.0+cpu', False), ('3.0.0', False)])
def test_old_torch_is_a_warning(monkeypatch, capsys, torch, warned):
    monkeypatch.setattr(check_env, 'collect', lambda: broken(torch=torch))
    assert main([]) == 0
    assert ('warning: torch' in capsys.readouterr().out) == warned


def test_everything_missing_is_named_at_once():
    facts = Facts((3, 11, 7), {'torch': '2.13.0', 'numpy': '2.2.6', 'pycocotools': '2.0.11'},
                  {'torch': '2.13.0', 'device': 'CPU: 2 cores', 'numpy': '2.2.6'},
                  {'opencv': "ModuleNotFoundError: No module named 'cv2'"})
    texts = [finding.text for finding in find_problems(facts)]
    assert texts == ['opencv is missing', 'mmengine is missing', 'mmcv is missing', 'mmdet is missing']


def test_opencv_without_libgl():
    found = find_problems(broken({'opencv': 'ImportError: libGL.so.1: cannot open shared object file'}))
    assert len(found) == 1
    assert 'uninstall --yes opencv-python && ' in found[0].command
    assert 'opencv-python-headless==4.12.0.88' in found[0].command


def test_foreign_torchvision():
    facts = broken({'mmengine': 'RuntimeError: operator torchvision::nms does not exist'},
                   {**ONEDL, 'torchvision': '0.29'})
    assert find_problems(facts)[0].command.endswith('uninstall --yes torchvision')


@pytest.mark.parametrize('version', [(3, 9, 0), (3, 13, 0)])
def test_unsupported_python(version):
    facts = broken()
    facts.python = version
    assert 'PYTHON=python3.11' in find_problems(facts)[0].command


@pytest.mark.parametrize('step', STEPS)
def test_every_failure_has_a_command(step, monkeypatch, capsys):
    for ours in (False, True):
        monkeypatch.setattr(check_env, 'made_by_setup', lambda ours=ours: ours)
        for error in ('ImportError: x', "ModuleNotFoundError: No module named 'x'"):
            monkeypatch.setattr(check_env, 'collect', lambda error=error: broken({step: error}))
            assert main([]) == 1
            lines = capsys.readouterr().out.splitlines()
            assert lines[-2].startswith('problem: ') and lines[-1].startswith('    ') and lines[-1].strip()


def test_report_names_other_than_tested_versions():
    lines = check_env.describe(broken(distributions=OPENMMLAB, mmcv='2.1.0'))
    assert any('2.1.0  (mmcv; tested: 2.3.6)' in line for line in lines)
    assert set(TESTED) - {'torch'} == set(PROVIDERS)
