"""The wheel on its own: installed into a separate folder and used from an empty one, without the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LEAF = """
_base_ = 'mmaffinity::affinity/affinity_c8_phantom_ictcf.py'
image_size = (64, 64)
load_from = None
train_cfg = dict(max_epochs=1)
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline={{_base_.slice_pipeline}}))
"""


@pytest.fixture(scope='module')
def installed(repo_root, tmp_path_factory):
    """Folder with the installed wheel."""
    root = tmp_path_factory.mktemp('wheel')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
    # Work on a copy, because setuptools leaves its build folder in the source.
    source = root / 'source'
    source.mkdir()
    for name in (
        'configs',
        'mmaffinity',
        'mmaffinity_cli',
        'tools',
        'pyproject.toml',
        'setup.py',
        'README.md',
        'LICENSE',
        'MANIFEST.in',
        'model-index.yml',
    ):
        subprocess.run(['cp', '-r', str(repo_root / name), str(source / name)], check=True)
    subprocess.run(['rm', '-rf', str(source / 'mmaffinity' / '.mim')], check=True)
    subprocess.run([*pip, 'wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', str(root), str(source)], check=True)
    wheel = next(root.glob('*.whl'))
    assert wheel.name.endswith('-py3-none-any.whl')
    subprocess.run([*pip, 'install', '--no-deps', '--target', str(root / 'site'), str(wheel)], check=True)
    return root / 'site'


def run(installed, cwd, *command, **kwargs):
    env = {**os.environ, 'PYTHONPATH': str(installed), 'OMP_NUM_THREADS': '1'}
    return subprocess.run([sys.executable, *map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, **kwargs)


def test_the_installed_package_is_used(installed, tmp_path):
    code = 'import mmaffinity, mmaffinity_cli; print(mmaffinity.__file__, mmaffinity_cli.__file__)'
    done = run(installed, tmp_path, '-c', code)
    assert [Path(file).parents[1] for file in done.stdout.split()] == [installed, installed], done.stderr
    assert (installed / 'bin' / 'mmaffinity').is_file()


def test_wheel_contains_every_config_and_tool(installed, repo_root):
    for folder, place in (('configs', '.mim/configs/affinity'), ('tools', '.mim/tools')):
        ours = {
            str(path.relative_to(repo_root / folder))
            for path in (repo_root / folder).rglob('*')
            if path.is_file() and path.suffix != '.pyc'
        }
        there = {
            str(path.relative_to(installed / 'mmaffinity' / place))
            for path in (installed / 'mmaffinity' / place).rglob('*')
            if path.is_file() and path.suffix != '.pyc'
        }
        assert len(ours) > 10 and ours == there


def test_wheel_contains_embedded_libraries(installed, repo_root):
    place = 'mmaffinity/visualization/pages/assets'
    ours, there = (
        {str(path.relative_to(root / place)) for path in (root / place).rglob('*') if path.is_file()}
        for root in (repo_root, installed)
    )
    assert 'vendor/uPlot.LICENSE' in ours and ours == there


def test_model_index_names_files_of_the_wheel(installed):
    from mmengine.fileio import load

    mim = installed / 'mmaffinity' / '.mim'
    metafiles = load(mim / 'model-index.yml')['Import']
    models = [model for metafile in metafiles for model in load(mim / metafile)['Models']]
    assert len(models) >= 8 and all((mim / model['Config']).is_file() for model in models)


def test_configs_are_found_by_name(installed, tmp_path):
    code = (
        'from mmaffinity.utils.config import load_config; affinity = load_config("affinity_c16"); '
        'print(load_config("baselines/single_shot").filename, affinity.model.roi_head.cls_head.num_affinities)'
    )
    done = run(installed, tmp_path, '-c', code, check=True)
    assert done.stdout.split() == [str(installed / 'mmaffinity/.mim/configs/affinity/baselines/single_shot.py'), '16']


def test_inherited_config_outside_the_checkout_trains_and_predicts(installed, tmp_path):
    """Convert, train from an inherited config and predict, in an empty folder."""
    phantom = (
        'phantom',
        '--size',
        64,
        '--slices-per-patient',
        2,
        '--lesions-train',
        2,
        '--lesions-test',
        2,
        '--slices-train',
        3,
        '--slices-selected',
        3,
        '--slices-val',
        3,
        '--slices-test',
        3,
        '--ictcf-train',
        4,
        '--ictcf-test',
        4,
    )
    (tmp_path / 'leaf.py').write_text(LEAF)
    for command in (phantom, ('convert', 'ictcf', 'data/phantom/ictcf'), ('train', 'leaf.py')):
        done = run(installed, tmp_path, '-m', 'mmaffinity', *command)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run(
        installed,
        tmp_path,
        '-m',
        'mmaffinity',
        'predict',
        'data/phantom/ictcf/nCT',
        '--config',
        'leaf.py',
        '--checkpoint',
        'work_dirs/leaf/epoch_1.pth',
        '--out',
        'results',
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / 'results' / 'report.json').is_file() and (tmp_path / 'results' / 'index.html').is_file()
