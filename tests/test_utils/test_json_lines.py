"""Lines outlive a killed process, and damage stays in its line."""

import json
import os

import pytest

from mmaffinity.utils.json_lines import JsonLines


def values(path):
    return [value for _, value in JsonLines(path).lines()]


def test_lines_are_read_back_in_order_and_by_place(tmp_path):
    path = tmp_path / 'sub' / 'lines'
    assert values(path) == []
    with JsonLines(path) as lines:
        assert not path.exists()  # until there is a line
        places = [lines.append(value) for value in ({'a': 0.1}, [1, None], 'é')]
        assert values(path) == [{'a': 0.1}, [1, None], 'é']  # on disk although the file is still open
    assert path.read_bytes() == b'{"a": 0.1}\n[1, null]\n"\\u00e9"\n'
    assert [place for place, _ in JsonLines(path).lines()] == places
    assert list(JsonLines(path).at([places[2], places[0]])) == ['é', {'a': 0.1}]


@pytest.mark.parametrize('damaged', [b'no JSON', b'\xff', b'', b'{"a": ', b'[' * 200_000])
def test_a_damaged_line_spoils_no_other(tmp_path, damaged):
    path = tmp_path / 'lines'
    path.write_bytes(b'1\n' + damaged + b'\n2\n')
    assert values(path) == [1, None, 2]


@pytest.mark.parametrize('cut', range(1, 8))
def test_a_line_after_a_partial_one_is_whole(tmp_path, cut):
    path = tmp_path / 'lines'
    content = b'[1]\n[12]\n'
    path.write_bytes(content[:cut])
    with JsonLines(path) as lines:
        lines.append([3])
    assert path.read_bytes() == content[:cut] + (b'' if cut == 4 else b'\n') + b'[3]\n'
    assert values(path)[-1] == [3]


def test_a_partial_line_is_damaged_even_if_it_is_json(tmp_path):
    (tmp_path / 'lines').write_bytes(b'1\n12')  # of 123
    assert values(tmp_path / 'lines') == [1, None]


def test_truncated_lines_are_replaced(tmp_path):
    path = tmp_path / 'lines'
    with JsonLines(path) as lines:
        lines.append(1)
        place = lines.append(2)
    lines.truncate(place)
    with lines:
        assert lines.append(3) == place
    assert values(path) == [1, 3]


def test_a_value_that_is_not_json_leaves_the_file_as_it_is(tmp_path):
    with JsonLines(tmp_path / 'lines') as lines:
        lines.append(1)
        with pytest.raises(ValueError):
            lines.append(float('nan'))
    assert (tmp_path / 'lines').read_bytes() == b'1\n'


def test_closing_waits_for_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, 'fsync', lambda file: synced.append(json.loads((tmp_path / 'lines').read_text())))
    with JsonLines(tmp_path / 'lines') as lines:
        lines.append(1)
    assert synced == [1]
