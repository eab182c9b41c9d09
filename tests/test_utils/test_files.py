import json
import os

import pytest

from mmaffinity.utils.files import write_json_atomic, write_jsons_atomic


def test_writes_what_json_reads_back(tmp_path):
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
def test_not_a_number_is_refused_and_the_old_file_stays(tmp_path, bad):
    path = tmp_path / 'a.json'
    write_json_atomic(path, 1)
    with pytest.raises(ValueError):
        write_json_atomic(path, bad)
    assert path.read_text() == '1\n'


def test_unknown_object_is_refused_before_any_file_is_opened(tmp_path):
    with pytest.raises(TypeError):
        write_jsons_atomic({tmp_path / 'a.json': 1, tmp_path / 'b.json': object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_failure_on_the_second_file_leaves_nothing(tmp_path, monkeypatch, error):
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


def test_left_over_of_a_killed_run_does_no_harm(tmp_path):
    (tmp_path / 'a.json.part').write_text('{"half": ')
    write_json_atomic(tmp_path / 'a.json', [1])
    assert [path.name for path in tmp_path.iterdir()] == ['a.json']
    assert json.loads((tmp_path / 'a.json').read_text()) == [1]
