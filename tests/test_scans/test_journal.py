"""What is known of a scan's slices so far."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmaffinity.scans import Problem, SliceRecord
from mmaffinity.scans.journal import Journal

SETTINGS = {'a': 1, 'b': [2.5, None]}


def record(index):
    return SliceRecord(index, f's{index}', 10, 10, None, None, 'CP', {'CP': 0.5})


def test_reads_back_in_the_order_asked_for(tmp_path):
    with Journal(tmp_path / 'j', SETTINGS) as journal:
        journal.add('k1', record(1))
        journal.add('k0', Problem('s0', 'is damaged', 'k0'))
        journal.add('k2', record(2))
        first, second, third = journal.read(['k0', 'absent', 'k2', 'k1'])
    assert first == Problem('s0', 'is damaged', 'k0') and (second.name, second.index) == ('s2', 2)
    assert (third.name, third.index) == ('s1', 3)  # numbered anew


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_goes_on_after_an_interruption_anywhere(tmp_path, cut):
    path = tmp_path / 'j'
    with Journal(path, SETTINGS) as journal:
        for index in range(4):
            journal.add(f'k{index}', record(index))
    content = path.read_bytes()
    kept = content[: cut % (len(content) + 1)]
    path.write_bytes(kept)
    with Journal(path, SETTINGS, resume=True) as journal:
        known = list(journal.places)
        assert len(known) == max(0, kept.count(b'\n') - 1)
        for index in range(4):
            if f'k{index}' not in journal.places:
                journal.add(f'k{index}', record(index))
        assert list(journal.read([f'k{index}' for index in range(4)])) == [record(index) for index in range(4)]
    assert path.read_bytes() == content


def test_other_settings_are_refused(tmp_path):
    Journal(tmp_path / 'j', SETTINGS).close()
    with pytest.raises(ValueError, match=r'made with other settings \(a\)'):
        Journal(tmp_path / 'j', {**SETTINGS, 'a': 2}, resume=True)
    with Journal(tmp_path / 'j', {**SETTINGS, 'a': 2}) as journal:
        assert not journal.places


def test_is_plain_lines(tmp_path):
    with Journal(tmp_path / 'j', SETTINGS) as journal:
        journal.add('k', record(0))
    lines = [json.loads(line) for line in (tmp_path / 'j').read_text().splitlines()]
    assert lines[0]['settings'] == SETTINGS and lines[1]['key'] == 'k' and lines[1]['slice']['label'] == 'CP'


def test_a_later_line_replaces_an_earlier_one(tmp_path):
    with Journal(tmp_path / 'j', SETTINGS) as journal:
        journal.add('k0', Problem('s0', 'is damaged', 'k0'))
        journal.add('k1', record(1))
        assert journal.predicted() == {'k1'}
    with Journal(tmp_path / 'j', SETTINGS, resume=True) as journal:
        assert journal.predicted() == {'k1'} and len(list(journal.read(['k0', 'k1']))) == 2
        assert list(journal.read(['k0', 'k1'], only={'k1'})) == [record(1)]
        journal.add('k0', record(0))
        assert journal.predicted() == {'k0', 'k1'} and list(journal.read(['k0', 'k1'])) == [record(0), record(1)]


@pytest.mark.parametrize('line', [b'{}\n', b'{"key": 3}\n', b'[1]\n', b'null\n'])
def test_a_line_without_a_key_ends_what_is_known(tmp_path, line):
    path = tmp_path / 'j'
    with Journal(path, SETTINGS) as journal:
        journal.add('k0', record(0))
    whole = path.read_bytes()
    path.write_bytes(whole + line)
    with Journal(path, SETTINGS, resume=True) as journal:
        assert set(journal.places) == {'k0'}
    assert path.read_bytes() == whole
