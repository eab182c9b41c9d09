"""The prediction tool."""

import json
import sys

import pytest
from run_helpers import fail_in_scan_a, run_forked
from scan_helpers import chest, dicom_slice, save_dicom, to_grey, write_images, write_model

from mmaffinity.scans.output_folder import OutputFolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def run(tmp_path_factory, repo_root):
    config, checkpoint = write_model(tmp_path_factory.mktemp('model'), repo_root)

    def call(*arguments, **keywords):
        model = ('--config', config, '--checkpoint', checkpoint, '--device', 'cpu')
        return run_forked([sys.executable, repo_root / 'tools' / 'predict.py', *arguments, *model], cwd='/', **keywords)

    return call


def test_predict_shows_progress_and_does_not_overwrite(tmp_path, run):
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


def test_wrong_path_is_reported_immediately(tmp_path, repo_root):
    model = ('--config', 'none.py', '--checkpoint', 'none.pth')
    command = [sys.executable, repo_root / 'tools' / 'predict.py', tmp_path / 'absent', *model, '--out', tmp_path / 'out']
    done = run_forked(command, cwd=tmp_path)
    assert done.returncode == 2 and not (tmp_path / 'out').exists()
    assert done.stderr.strip().splitlines()[-1] == f'error: no such file or folder: {tmp_path / "absent"}'


def test_second_process_is_rejected_with_a_clear_error(tmp_path, run):
    folder = write_images(tmp_path / 'scan', 1)
    with OutputFolder(tmp_path / 'out').lock():
        done = run(folder, '--out', tmp_path / 'out', '--resume')
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith('error: another process is writing to ')
    assert run(folder, '--out', tmp_path / 'out').returncode == 0


def test_console_shows_warnings(tmp_path, run):
    pytest.importorskip('pydicom')
    for index in range(2):
        save_dicom(tmp_path / 'in' / f'{index}.dcm', dicom_slice(to_grey(chest(index)), index, PixelSpacing=None))
    (tmp_path / 'in' / '.DS_Store').write_bytes(b'\0\0\0\1Bud1')
    done = run(tmp_path / 'in', '--out', tmp_path / 'out', '--overlays', 'none', '--dicom-seg')
    assert done.returncode == 0, done.stderr
    for words in (
        '5 notes, see ',
        '; warnings:',
        'warning: HU look implausible',
        'warning: RescaleSlope 1',
        'warning: no DICOM-SEG (lesions.dcm): ',
        'ignored 1 file without slices: .DS_Store',
    ):
        assert words in done.stdout, words


def test_exit_code_reports_failures(tmp_path, run):
    """A scan that fails unexpectedly."""
    for name in 'ab':
        write_images(tmp_path / 'in' / name, 1)
    done = run(tmp_path / 'in', '--out', tmp_path / 'out', '--overlays', 'none', before=fail_in_scan_a)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert 'in_b: 1 of 1 slice' in done.stdout and 'in/a: failed; --resume retries it: RuntimeError: odd' in done.stdout
    assert run(tmp_path / 'in', '--out', tmp_path / 'out', '--overlays', 'none', '--resume').returncode == 0
