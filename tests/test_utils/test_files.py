import json
import os

import pytest

from mmaffinity.utils.files import whole_folder, write_json_atomic, write_jsons_atomic


def test_json_round_trips(tmp_path):
    content = {'name': 'Lésion', 'rows': [1, 2.5, None, True]}
    path = tmp_path / 'new' / 'folder' / 'a.json'
    write_json_atomic(path, content)
    assert json.loads(path.read_text(encoding='utf-8')) == content
    assert [file.name for file in path.parent.iterdir()] == ['a.json']


def test_equal_objects_give_equal_bytes(tmp_path):
    write_json_atomic(tmp_path / 'a.json', {'b': [1], 'a': 2})
    write_json_atomic(tmp_path / 'b.json', {'b': [1], 'a': 2})
    assert (tmp_path / 'a.json').read_bytes() == (tmp_path / 'b.json').read_bytes()


@pytest.mark.parametrize('bad', [{'mean': float('nan')}, {'mean': float('inf')}])
def test_nan_is_rejected_and_the_old_file_kept(tmp_path, bad):
    path = tmp_path / 'a.json'
    write_json_atomic(path, 1)
    with pytest.raises(ValueError):
        write_json_atomic(path, bad)
    assert path.read_text() == '1\n'


def test_unserialisable_object_is_rejected_before_opening_a_file(tmp_path):
    with pytest.raises(TypeError):
        write_jsons_atomic({tmp_path / 'a.json': 1, tmp_path / 'b.json': object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_failure_on_the_second_file_leaves_no_files(tmp_path, monkeypatch, error):
    (tmp_path / 'b.json').write_text('old')
    synced = []

    def fsync(number):
        synced.append(number)
        if len(synced) == 2:
            raise error

    monkeypatch.setattr(os, 'fsync', fsync)
    with pytest.raises(type(error)):
        write_jsons_atomic({tmp_path / 'a.json': 1, tmp_path / 'b.json': 2, tmp_path / 'c.json': 3})
    assert [path.name for path in tmp_path.iterdir()] == ['b.json']
    assert (tmp_path / 'b.json').read_text() == 'old'


def test_leftover_of_a_killed_run_is_replaced(tmp_path):
    (tmp_path / 'a.json.part').write_text('{"half": ')
    write_json_atomic(tmp_path / 'a.json', [1])
    assert [path.name for path in tmp_path.iterdir()] == ['a.json']
    assert json.loads((tmp_path / 'a.json').read_text()) == [1]


def fill(path, text='new', **options):
    with whole_folder(path, 'sub/marker', **options) as folder:
        (folder / 'sub').mkdir()
        (folder / 'sub' / 'marker').write_text(text)
        assert not (path / 'sub').exists() or options  # not visible before it is complete


def test_folder_appears_atomically(tmp_path):
    fill(tmp_path / 'deep' / 'out')
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['out']
    with pytest.raises(FileExistsError, match=r'contains an earlier result.*\(--overwrite\)'):
        fill(tmp_path / 'deep' / 'out')
    (tmp_path / 'deep' / 'out' / 'old').write_text('')
    fill(tmp_path / 'deep' / 'out', 'newer', overwrite=True)
    assert (tmp_path / 'deep' / 'out' / 'sub' / 'marker').read_text() == 'newer'
    assert not (tmp_path / 'deep' / 'out' / 'old').exists()
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['out']


def test_an_empty_folder_is_filled_and_leftovers_of_killed_runs_are_cleared(tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / '.out.mmaffinity.part' / 'half').mkdir(parents=True)
    fill(tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out']
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['sub']


def test_neighbouring_folders_are_kept(tmp_path):
    fill(tmp_path / 'out')
    for name in ('out.old', 'out.part'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'mine').write_text('')
    fill(tmp_path / 'out', overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out', 'out.old', 'out.part']
    assert (tmp_path / 'out.old' / 'mine').is_file() and (tmp_path / 'out.part' / 'mine').is_file()


def test_a_run_killed_between_its_renames_loses_nothing(tmp_path):
    fill(tmp_path / 'out', 'first')
    os.replace(tmp_path / 'out', tmp_path / '.out.mmaffinity.old')
    with pytest.raises(FileExistsError, match='contains an earlier result'):
        fill(tmp_path / 'out', 'second')
    assert [path.name for path in tmp_path.iterdir()] == ['out']
    assert (tmp_path / 'out' / 'sub' / 'marker').read_text() == 'first'


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize('there', [False, True])
def test_error_keeps_the_existing_folder(tmp_path, error, there):
    if there:
        fill(tmp_path / 'out', 'first')
    with pytest.raises(error), whole_folder(tmp_path / 'out', 'sub/marker', overwrite=True) as folder:
        (folder / 'half').write_text('')
        raise error
    assert [path.name for path in tmp_path.iterdir()] == (['out'] if there else [])
    assert not there or (tmp_path / 'out' / 'sub' / 'marker').read_text() == 'first'


def test_failed_rename_restores_the_old_folder(tmp_path, monkeypatch):
    fill(tmp_path / 'out', 'first')
    replace = os.replace

    def failing(source, target):
        if str(source).endswith('.part'):
            raise OSError('no')
        replace(source, target)

    monkeypatch.setattr(os, 'replace', failing)
    with pytest.raises(OSError, match='no'):
        fill(tmp_path / 'out', 'second', overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ['out']
    assert (tmp_path / 'out' / 'sub' / 'marker').read_text() == 'first'


def test_other_folders_are_not_replaced(tmp_path):
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(FileExistsError, match='has no sub/marker, so it is something else'):
        fill(tmp_path, overwrite=True)
    with pytest.raises(FileExistsError, match='file is a file; choose a folder'):
        fill(tmp_path / 'file', overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ['file'] and (tmp_path / 'file').read_text() == 'mine'
