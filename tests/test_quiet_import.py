import os
import subprocess
import sys

import pytest


def test_importing_the_package_says_nothing(repo_root):
    """MMDetection's notes on packages that are not needed would be the first lines that a user reads."""
    code = 'import mmaffinity, mmdet.evaluation'
    result = subprocess.run([sys.executable, '-c', code], cwd=repo_root, capture_output=True, text=True, check=True)
    assert result.stdout + result.stderr == ''


@pytest.mark.parametrize(
    'start, setting', [("import sys; sys.modules['mmdet'] = None", {}), ('import sys', {'MMAFFINITY_LAZY': '1'})]
)
def test_the_package_loads_nothing_without_mmdetection_or_if_it_is_lazy(start, setting, repo_root):
    code = f'{start}; import mmaffinity; print({{name.split(".")[0] for name in sys.modules}} & {{"mmaffinity", "torch"}})'
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=repo_root, env={**os.environ, **setting}, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "{'mmaffinity'}"


def test_the_package_registers_its_modules(repo_root):
    code = "import mmaffinity; from mmdet.registry import MODELS; print(MODELS.get('AffinityRoIHead').__name__)"
    result = subprocess.run([sys.executable, '-c', code], cwd=repo_root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == 'AffinityRoIHead'


def test_a_package_run_as_a_module_finds_the_modules_registered(tmp_path, repo_root):
    """Unlike ``python -m mmaffinity``, which registers them when its command needs them."""
    (tmp_path / 'study').mkdir()
    (tmp_path / 'study/__init__.py').write_text('import mmaffinity\n')
    code = "from mmdet.registry import MODELS; print(MODELS.get('AffinityRoIHead').__name__)\n"
    (tmp_path / 'study/__main__.py').write_text(code)
    path = os.pathsep.join([str(tmp_path), str(repo_root), os.environ.get('PYTHONPATH', '')])
    result = subprocess.run(
        [sys.executable, '-m', 'study'], env={**os.environ, 'PYTHONPATH': path}, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == 'AffinityRoIHead'
