"""The verification tool as a command."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture
def arguments(repo_root, tiny_phantom):
    """Arguments of the command on a phantom."""

    def build(*options, config='affinity_c8_phantom.py', root='cncb_ncov'):
        return [
            str(part)
            for part in (
                repo_root / 'tools/verify_dataset.py',
                repo_root / 'configs' / config,
                *options,
                '--cfg-options',
                f'data_root={tiny_phantom / root}',
            )
        ]

    return build


@pytest.fixture
def run(arguments, tmp_path, monkeypatch, capsys):
    """Run the command in this process to save imports; return exit code and output."""
    monkeypatch.chdir(tmp_path)

    def call(*options, **keywords):
        monkeypatch.setattr(sys, 'argv', arguments(*options, **keywords))
        code = 0
        try:
            runpy.run_path(sys.argv[0], run_name='__main__')
        except SystemExit as ended:
            code = ended.code
        return code, capsys.readouterr()

    return call


def test_success_writes_a_report_and_a_cache(run, tmp_path):
    code, text = run('--out', 'report.json')
    assert code == 0, text
    lines = text.out.splitlines()
    assert any(line.startswith('train (annotations/slices_train.json): 6 slices (Normal 2, CP 2') for line in lines)
    assert any('files read in' in line and 'ms each' in line for line in lines)
    report = json.loads((tmp_path / 'report.json').read_text())
    number = report['reading']['files']
    assert report['passed'] and report['reading']['read'] == number > 20
    assert f'reading: {number} of {number} files' in text.err
    assert (tmp_path / 'work_dirs/verify_dataset_cache.jsonl').is_file()
    code, text = run('--out', 'again.json')
    second = json.loads((tmp_path / 'again.json').read_text())
    assert code == 0 and second['reading']['read'] == 0 and 'files read in' not in text.out
    assert second['datasets'] == report['datasets'] and second['findings'] == report['findings']


def test_exit_code_1_for_findings_and_2_for_misuse(run, tmp_path):
    code, text = run('--lists-only', '--out', 'report.json', config='affinity_c8_left_out.py')
    assert code == 1 and 'patients are in both train and test' in text.out and 'FAILED' in text.out
    assert json.loads((tmp_path / 'report.json').read_text())['passed'] is False
    for options, message in (
        (('--allow', 'patients'), "cannot allow the unknown check 'patients'"),
        (('--near-bits', '20'), 'within 0..15'),
        (('--workers', '-1'), 'number of workers is -1'),
    ):
        code, text = run(*options)
        assert code == 2 and text.err.splitlines()[-1].startswith('error: ') and message in text.err
    code, text = run(config='no_such.py')
    assert code == 2 and 'no such config' in text.err


def test_ictcf_warns_and_passes(run, tmp_path):
    code, text = run('--no-cache', config='affinity_c8_phantom_ictcf.py', root='ictcf')
    assert code == 0 and 'names no patient: leakage' in text.out and 'cannot be ruled out' in text.out
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='this system has no SIGKILL')
def test_killed_run_can_be_continued(arguments, run, tmp_path, repo_root):
    """After a kill, the cache keeps what was read, and no worker remains."""
    cache = tmp_path / 'cache.jsonl'
    process = subprocess.Popen(
        [sys.executable, *arguments('--cache', cache, '--workers', '2')],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(repo_root), 'OMP_NUM_THREADS': '1'},
    )
    started = time.monotonic()
    while process.poll() is None and time.monotonic() - started < 120:
        if cache.exists() and b'\n' in cache.read_bytes():
            break
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=60)  # ends when the last process that holds the pipes has ended
    known = cache.read_bytes().count(b'\n')
    code, text = run('--cache', cache, '--out', 'report.json')
    reading = json.loads((tmp_path / 'report.json').read_text())['reading']
    assert code == 0 and known >= 1 and reading['read'] == reading['files'] - known
