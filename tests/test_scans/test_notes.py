"""Notes of slices, counted."""

from mmaffinity.scans.notes import MAX_KINDS, SliceNotes


def test_notes_that_differ_only_in_numbers_are_one_kind():
    counted = SliceNotes()
    for index in range(4):
        notes = ['the same for all', f'values from {index} to 1.5e+0{index}']
        counted.add(f's/{index}', [*notes, 'once'] if index == 2 else notes)
    assert counted.lines(4) == ['the same for all', 'values from 0 to 1.5e+00 (4 of 4 slices; this is s/0)', 'once (s/2)']
    assert counted.lines(9)[0] == 'the same for all (4 of 9 slices; this is s/0)'
    assert counted.lines(9, 'volumes')[0] == 'the same for all (4 of 9 volumes; this is s/0)'


def test_repeated_note_of_a_slice_counts_once():
    counted = SliceNotes()
    counted.add('a', ['x', 'x'])
    assert counted.lines(1) == ['x']


def test_kinds_are_bounded():
    counted = SliceNotes()
    for index in range(3 * MAX_KINDS):
        counted.add('a', ['n' * (index + 1)])
    lines = counted.lines(1)
    assert len(lines) == MAX_KINDS + 1 and 'further notes' in lines[-1]
