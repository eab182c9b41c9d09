"""The prediction tool."""
import json
import os
import subprocess
import sys

import pytest
from scan_helpers import write_images, write_model

from mmaffinity.scans.output_folder import OutputFolder


@pytest.fixture(scope='module')
def run(tmp_path_factory, repo_root):
    config, checkpoint = write_model(tmp_path_factory.mktemp('model'), repo_root)

    def call(*arguments):
        command = [sys.executable, repo_root / 'tools' / 'predict.py', *arguments, '--config', config, '--checkpoint',
                   checkpoint, '--device', 'cpu']
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, cwd='/',
                              env={**os.environ, 'PYTHONPATH': str(repo_root), 'OMP_NUM_THREADS': '1'})
    return call


def test_predicts_shows_progress_and_refuses_to_overwrite(tmp_path, run):
    folder = write_images(tmp_path / 'scan', 3)
    (folder / 'bad.png').touch()
    done = run(folder, '--out', tmp_path / 'out', '--score-thr', '0.3', '--overlays', 'none')
    assert done.returncode == 0, done.stderr
    assert '3 of 3 slices' in done.stderr and 'scan: 3 of 3 slices' in done.stdout
    assert '1 input was not predicted' in done.stdout and 'Research use only' in done.stdout
    content = json.loads((tmp_path / 'out' / 'scan' / 'prediction.json').read_text())
    assert len(content['slices']) == 3 and content['settings']['score_thr'] == 0.3
    again = run(folder, '--out', tmp_path / 'out')
    assert again.returncode == 2 and again.stderr.strip().splitlines()[-1].startswith('error: ')
    assert '--resume' in again.stderr and 'Traceback' not in again.stderr


def test_a_wrong_path_is_said_before_anything_is_done(tmp_path, repo_root):
    command = [sys.executable, repo_root / 'tools' / 'predict.py', tmp_path / 'absent', '--config', 'none.py', '--checkpoint',
               'none.pth', '--out', tmp_path / 'out']
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': str(repo_root), 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 2 and not (tmp_path / 'out').exists()
    assert done.stderr.strip().splitlines()[-1] == f'error: there is no file or folder {tmp_path / "absent"}'


def test_a_second_process_ends_with_a_sentence(tmp_path, run):
    folder = write_images(tmp_path / 'scan', 1)
    with OutputFolder(tmp_path / 'out').lock():
        done = run(folder, '--out', tmp_path / 'out', '--resume')
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith('error: another process is writing to ')
    assert run(folder, '--out', tmp_path / 'out').returncode == 0
