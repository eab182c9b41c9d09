"""Folders of scans and names of pictures stay the same when a run is resumed with more input."""

import json

import numpy as np
import pytest
from scan_helpers import write_images

from mmaffinity.scans import Problem, ReadOptions, SliceRecord
from mmaffinity.scans.image_scan import ArrayScan, ImageScan
from mmaffinity.scans.output_folder import OutputFolder
from mmaffinity.scans.result_folders import ResultFolders, picture_name, renumber_pictures


def scan(folder, name):
    return ImageScan(folder, ['a.png'], name, ReadOptions())


def take(out, scans):
    """Folders of scans, with a journal in each, as a run leaves them."""
    folders = ResultFolders(out)
    names = []
    for one in scans:
        name, identity = folders.of(one)
        names.append(name)
        out.path(name, 'journal.jsonl').write_text(json.dumps({'settings': {'source': identity}}) + '\n')
    return names


def test_each_scan_keeps_its_folder_in_any_order(tmp_path):
    out = OutputFolder(tmp_path / 'out')
    scans = [scan(tmp_path / letter, name) for letter, name in (('a', 'x y'), ('b', 'x-y'), ('c', 'X-Y'), ('d', 'z'))]
    names = take(out, scans)
    assert len({name.lower() for name in names}) == 4 and names[0] == 'x-y' and names[3] == 'z'
    new = scan(tmp_path / '0', 'x+y')
    assert take(out, [new, *scans[::-1]])[1:] == names[::-1]
    assert take(out, scans[2:]) == names[2:]


def test_the_same_scan_twice_has_two_folders(tmp_path):
    out = OutputFolder(tmp_path / 'out')
    arrays = [ArrayScan([np.zeros((32, 32))], ReadOptions()) for _ in range(3)]
    names = take(out, arrays)
    assert len(set(names)) == 3 and take(out, arrays) == names


@pytest.mark.parametrize('content', ['', 'no journal\n', '[]\n', '{"settings": 3}\n'])
def test_other_folders_are_not_used(tmp_path, content):
    out = OutputFolder(tmp_path / 'out')
    out.path('z', 'journal.jsonl').write_text(content)
    assert take(out, [scan(tmp_path / 'd', 'z')]) != ['z']


def record(index, name):
    return SliceRecord(index, name, 10, 10, None, None, None, {})


def test_pictures_are_renamed_with_their_slices(tmp_path):
    """Two files with equal names, and a new one between them that would take the number and name of the second."""
    out = OutputFolder(tmp_path / 'out')
    before = [record(0, 'in/a/IM1'), record(1, 'in/c/IM1'), record(2, 'in/c/IM2'), record(3, 'in/d/IM2')]
    names = [picture_name(one) for one in before]
    assert names[0].startswith('0000_IM1-') and len({name[4:] for name in names}) == 4
    for one, name in zip(before, names):
        out.path('s', 'overlays', name).write_text(one.name)
    (tmp_path / 'out/s/overlays/notes.txt').write_text('of somebody else')
    # IM2 of d has left the input, b is new and not predicted yet; c/IM2 could not be read this time.
    after = [record(0, 'in/a/IM1'), record(2, 'in/c/IM1'), Problem('in/c/IM2', 'is damaged')]
    for _ in range(2):  # the second call has nothing left to do
        assert list(renumber_pictures(out, 's', after)) == after
        found = {path.name: path.read_text() for path in (tmp_path / 'out/s/overlays').iterdir()}
        assert found == {names[0]: 'in/a/IM1', '0002' + names[1][4:]: 'in/c/IM1', 'notes.txt': 'of somebody else'}


def test_missing_pictures_are_not_an_error(tmp_path):
    write_images(tmp_path / 'in', 1)
    assert list(renumber_pictures(OutputFolder(tmp_path / 'out'), 's', [record(0, 'a')])) == [record(0, 'a')]
    assert not (tmp_path / 'out' / 's' / 'overlays').exists()
