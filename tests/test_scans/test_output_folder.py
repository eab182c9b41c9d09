"""Nothing is written outside the output folder."""

import errno
import os
import string
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmaffinity.scans import output_folder
from mmaffinity.scans.output_folder import LOCK, OutputFolder, safe_name

HARMLESS = set(string.ascii_letters + string.digits + '._-')


def test_files_are_written_completely_or_not_at_all(tmp_path):
    out = OutputFolder(tmp_path / 'out')
    with out.write('a', 'b.txt') as file:
        file.write(b'first')
    with pytest.raises(RuntimeError), out.write('a', 'b.txt') as file:
        file.write(b'sec')
        raise RuntimeError
    assert (tmp_path / 'out' / 'a' / 'b.txt').read_bytes() == b'first'
    assert [path.name for path in (tmp_path / 'out' / 'a').iterdir()] == ['b.txt']


@pytest.mark.parametrize('parts', [('..', 'x'), ('a', '..', '..', 'x'), ('/etc/x',), ('a/../../x',)])
def test_paths_outside_are_rejected(tmp_path, parts):
    with pytest.raises(ValueError, match='outside the output folder'):
        OutputFolder(tmp_path / 'out').path(*parts)
    assert [path.name for path in tmp_path.iterdir()] == ['out']


def test_links_to_outside_are_rejected(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'kept.txt').write_text('kept')
    out = OutputFolder(tmp_path / 'out')
    (out.root / 'scan').symlink_to(tmp_path / 'elsewhere')
    (out.root / 'file.json').symlink_to(tmp_path / 'elsewhere' / 'kept.txt')
    (out.root / 'new.json.part').symlink_to(tmp_path / 'elsewhere' / 'kept.txt')
    for parts in (('scan', 'x.json'), ('file.json',), ('new.json',)):
        with pytest.raises(ValueError, match='outside'), out.write(*parts) as file:
            file.write(b'x')
    assert [path.name for path in (tmp_path / 'elsewhere').iterdir()] == ['kept.txt']
    assert (tmp_path / 'elsewhere' / 'kept.txt').read_text() == 'kept'


def test_file_as_output_folder_is_an_error(tmp_path):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(ValueError, match='part of its path is a file'):
        OutputFolder(tmp_path / 'file')


HOLD = """
import sys
from mmaffinity.scans.output_folder import OutputFolder
with OutputFolder(sys.argv[1]).lock():
    print('locked', flush=True)
    sys.stdin.readline()
"""


def hold(root, folder):
    """A process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(root)},
    )
    assert process.stdout.readline() == 'locked\n'
    return process


@pytest.mark.parametrize('end', ['regular', 'killed'])
def test_one_process_at_a_time(tmp_path, repo_root, end):
    out = OutputFolder(tmp_path / 'out')
    with hold(repo_root, tmp_path / 'out') as process:
        with pytest.raises(ValueError, match='another process is writing to .*out: wait for it to finish'), out.lock():
            pass
        if end == 'killed':
            process.kill()
        else:
            process.communicate('\n', timeout=60)
        process.wait(60)
    assert (out.root / LOCK).exists() == (end == 'killed')
    with out.lock(), pytest.raises(ValueError, match='another process'), OutputFolder(tmp_path / 'out').lock():
        pass
    assert not list(out.root.iterdir())


def test_lock_file_removed_by_its_holder_is_locked_again(tmp_path, monkeypatch):
    """If the previous holder removes the file between opening and locking, a third process would lock a new one."""
    out, lock, times = OutputFolder(tmp_path / 'out'), output_folder._lock, []

    def late(descriptor):
        times.append(descriptor)
        if len(times) == 1:
            (out.root / LOCK).unlink()
        lock(descriptor)

    monkeypatch.setattr(output_folder, '_lock', late)
    with out.lock():
        monkeypatch.undo()
        assert len(times) == 2
        with pytest.raises(ValueError, match='another process'), out.lock():
            pass


def test_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(output_folder, '_lock', refuse)
    with pytest.warns(UserWarning, match='file system without locks'), OutputFolder(tmp_path).lock():
        pass


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=300), st.text(max_size=5))
@example('../../etc/passwd', '')
@example('..', '')
@example('a\\..\\b', '')
@example('CON.png', '')
@example('x' * 500, 'tag')
@example('\ud800', '')
def test_names_are_safe(text, tag):
    name = safe_name(text, tag)
    assert set(name) <= HARMLESS and 0 < len(name) <= 80 and name[0] != '.' and name != '..'
    assert name == safe_name(text, tag)


def test_names_stay_readable_and_tags_distinguish_them():
    assert safe_name('ct_slices/COVID') == 'ct_slices_COVID' and safe_name('v.nii.gz') == 'v.nii.gz'
    assert safe_name('a', 'x') != safe_name('a', 'y') and safe_name('a', 'x').startswith('a-')
