"""The cache: what is known is not read again, what changed is, and a kill loses nothing."""

import os

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.verification.fact_cache import FactCache
from mmaffinity.datasets.verification.image_facts import read_facts


@pytest.fixture
def files(tmp_path):
    paths = []
    for index in range(3):
        paths.append(str(tmp_path / f'{index}.png'))
        cv2.imwrite(paths[-1], np.random.default_rng(index).integers(0, 256, (40, 40), np.uint8))
    return paths


def fill(cache, files):
    facts = [read_facts('slice', path) for path in files]
    with FactCache(cache) as known:
        for path, fact in zip(files, facts):
            known.get('slice', path)
            known.add('slice', path, fact)
    return facts


def test_remembers_and_notices_change(tmp_path, files):
    cache = tmp_path / 'sub/cache.jsonl'
    facts = fill(cache, files)
    known = FactCache(cache)
    assert [known.get('slice', path) for path in files] == facts
    assert known.get('mask', files[0]) is None
    cv2.imwrite(files[0], np.zeros((40, 40), np.uint8))  # another size
    os.utime(files[1])  # another time
    os.remove(files[2])
    assert [known.get('slice', path) for path in files] == [None, None, None]
    fill(cache, files[:1])
    assert FactCache(cache).get('slice', files[0]) == read_facts('slice', files[0])  # the last line counts


def test_lines_are_on_disk_at_once(tmp_path, files):
    cache = tmp_path / 'cache.jsonl'
    known = FactCache(cache)
    assert known.get('slice', files[0]) is None
    known.add('slice', files[0], read_facts('slice', files[0]))
    assert FactCache(cache).get('slice', files[0]) is not None  # while the first is open still


def test_half_a_line_is_ignored_and_spoils_nothing_after_it(tmp_path, files):
    cache = tmp_path / 'cache.jsonl'
    facts = fill(cache, files)
    content = cache.read_bytes()
    cache.write_bytes(content[:-25])
    assert [FactCache(cache).get('slice', path) for path in files] == [*facts[:2], None]
    fill(cache, files[2:])
    assert [FactCache(cache).get('slice', path) for path in files] == facts


@pytest.mark.parametrize('line', ['[1, ["slice"], "a.png", 1, 1, []]', '[1, "slice", {}, 1, 1, []]', '[1]', '{}', 'null', '7'])
def test_a_damaged_line_spoils_no_other(tmp_path, files, line):
    cache = tmp_path / 'cache.jsonl'
    facts = fill(cache, files)
    cache.write_text(f'{line}\n{cache.read_text()}{line}\n')
    assert [FactCache(cache).get('slice', path) for path in files] == facts


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, files):
    known = FactCache(tmp_path / 'cache.jsonl')
    assert known.get('slice', files[0]) is None
    facts = read_facts('slice', files[0])
    os.utime(files[0], ns=(1, 1))  # written to by somebody else, after it was read
    known.add('slice', files[0], facts)
    assert FactCache(tmp_path / 'cache.jsonl').get('slice', files[0]) is None


def test_errors_are_not_kept(tmp_path, files):
    with open(files[0], 'wb'):
        pass
    fill(tmp_path / 'cache.jsonl', files[:1])
    assert not (tmp_path / 'cache.jsonl').exists()


def test_other_versions_are_read_again_and_other_files_left_alone(tmp_path, files):
    cache = tmp_path / 'cache.jsonl'
    fill(cache, files)
    cache.write_text(cache.read_text().replace('[1, ', '[99, '))
    assert FactCache(cache).get('slice', files[0]) is None
    (tmp_path / 'notes.txt').write_text('some\nnotes\n')
    with pytest.raises(ValueError, match='notes.txt is not a cache of mmaffinity verify'):
        FactCache(tmp_path / 'notes.txt')
    with pytest.raises(ValueError, match='is a folder'):
        FactCache(tmp_path)


def test_without_a_file_nothing_is_kept(files):
    known = FactCache(None)
    known.add('slice', files[0], read_facts('slice', files[0]))
    assert known.get('slice', files[0]) is None
