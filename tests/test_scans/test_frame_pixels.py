"""Locations of frame pixels in intact and damaged files."""

import numpy as np
import pytest
from frame_helpers import chest_frames, compressed, encapsulated, enhanced_ct
from scan_helpers import save_dicom, to_grey

from mmaffinity.scans import Problem, find_scans, frame_pixels
from mmaffinity.scans.frame_pixels import _assign

pydicom = pytest.importorskip('pydicom')
FRAMES = chest_frames(4)


def packed(table='basic', syntax='RLELossless', frames=FRAMES, fragments=1):
    return encapsulated(
        enhanced_ct(FRAMES), [compressed(frame, syntax) for frame in frames], getattr(pydicom.uid, syntax), table, fragments
    )


def outcome(path):
    """For each frame whether its pixels are right, or the reason why there are none."""
    results = {}
    for found in find_scans(path):
        for item in [found] if isinstance(found, Problem) else found.read():
            if isinstance(item, Problem):
                results[item.source.rpartition('#')[2]] = item.reason
            else:
                number = item.name.rpartition('#')[2]
                results[number] = np.array_equal(item.grey, to_grey(FRAMES[int(number.split()[1]) - 1]))
    return results


@pytest.mark.parametrize('table', ['basic', 'extended', 'none'])
@pytest.mark.parametrize('syntax', ['RLELossless', 'JPEGLSLossless'])
def test_truncated_file_loses_only_its_missing_frames(tmp_path, table, syntax):
    path = save_dicom(tmp_path / 'm.dcm', packed(table, syntax))
    content = path.read_bytes()
    path.write_bytes(content[: -8 - 20])  # the delimiter and the end of the last frame
    results = outcome(path)
    bad = results.pop('frame 4')
    assert results == dict.fromkeys(('frame 1', 'frame 2', 'frame 3'), True)
    assert '3 of 4 frames' in bad and 'the file ends' in bad
    path.write_bytes(content[:-8])
    assert list(outcome(path).values()) == [True] * 4


@pytest.mark.parametrize('table', ['basic', 'none'])
def test_truncated_file_with_fragmented_frames(tmp_path, table):
    path = save_dicom(tmp_path / 'm.dcm', packed(table, 'JPEGLSLossless', fragments=2))
    path.write_bytes(path.read_bytes()[: -8 - 20])
    results = outcome(path)
    assert 'the file ends' in results.pop('frame 4') and list(results.values()) == [True] * 3


def test_missing_frame_is_identified_only_by_the_offset_table(tmp_path):
    """Without a table the missing frame is unknown, and pixels must not be assigned to other frames."""
    data = packed('none', frames=FRAMES[:2] + FRAMES[3:])
    (problem,) = find_scans(save_dicom(tmp_path / 'm.dcm', data))
    assert isinstance(problem, Problem) and '0 of 4 frames were found in 3 fragments' in problem.reason


@pytest.mark.parametrize(
    'begins, heads, counts, complete, expected',
    [
        ([0, 1, 2], [True] * 3, [3], True, [(0, 1), (1, 2), (2, 3)]),
        ([0, 2], [True, False, True, False], [2], True, [(0, 2), (2, 4)]),
        ([0, 2], [False] * 5, [2], True, [(0, 2), (2, 5)]),
        ([], [True, False, True, False], [2], True, [(0, 2), (2, 4)]),
        ([], [False, False, False], [2, 3], True, [(0, 1), (1, 2), (2, 3)]),
        ([], [False, False, False], [2], True, []),
        ([], [], [2], True, []),
        ([], [], [2], False, []),
        ([None, 1, 2], [True] * 4, [3], True, [(0, 0), (1, 2), (0, 0)]),
        ([0, 1, 3], [True] * 4, [3], True, [(0, 1), (0, 0), (3, 4)]),  # two code streams are not a frame
        ([0, None, 2], [False] * 4, [3], True, [(0, 0), (0, 0), (2, 4)]),
        ([2, 1, 0], [False] * 4, [3], True, [(0, 0), (0, 0), (0, 4)]),
        ([0, 1, 2], [True] * 2, [3], False, [(0, 1), (1, 2), (0, 0)]),
        ([], [True, False, True], [4], False, [(0, 2)]),
        ([], [False, False], [4], False, [(0, 1), (1, 2)]),
    ],
)
def test_fragments_are_assigned_to_frames(begins, heads, counts, complete, expected):
    assert _assign(begins, heads, counts, complete) == expected


def test_damaged_code_stream_loses_only_its_frame(tmp_path):
    data = packed('none', 'JPEGLSLossless')
    frames = [compressed(frame, 'JPEGLSLossless') for frame in FRAMES]
    frames[1] = frames[1][:8] + b'\xff\xff' + frames[1][10:]  # another height
    frames[2] = frames[2][:-40]
    encapsulated(data, frames, pydicom.uid.JPEGLSLossless, 'none')
    results = outcome(save_dicom(tmp_path / 'm.dcm', data))
    assert results['frame 1'] is True and results['frame 4'] is True
    assert 'the header says 64 x 64' in results['frame 2'] and 'has no end mark' in results['frame 3']


def test_hostile_frames_are_bounded(tmp_path, monkeypatch):
    bomb = bytearray(64)
    bomb[:12] = (2).to_bytes(4, 'little') + (64).to_bytes(4, 'little') + (66).to_bytes(4, 'little')
    frames = [compressed(frame, 'RLELossless') for frame in FRAMES]
    frames[0] = bytes(bomb) + b'\x81\0' * 50000
    frames[1] = frames[1] + bytes(1 << 21)
    encapsulated(data := enhanced_ct(FRAMES), frames, pydicom.uid.RLELossless)
    path = save_dicom(tmp_path / 'm.dcm', data)
    results = outcome(path)
    assert results['frame 3'] is True and results['frame 4'] is True
    assert 'RLE segment expands to more' in results['frame 1'] and 'need at most' in results['frame 2']
    monkeypatch.setattr(frame_pixels, 'MAX_FRAGMENTS', 3)
    (problem,) = find_scans(path)
    assert 'more than 3 fragments' in problem.reason


@pytest.mark.parametrize(
    'case, words',
    [('native length', 'not in fragments'), ('private syntax', 'transfer syntax 1.2.3'), ('float pixels', 'no pixel data')],
)
def test_files_without_frames(tmp_path, case, words):
    data = packed() if case == 'native length' else enhanced_ct(FRAMES)
    path = save_dicom(tmp_path / 'm.dcm', data)
    content = path.read_bytes()
    if case == 'native length':
        path.write_bytes(content.replace(b'\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff', b'\xe0\x7f\x10\0OB\0\0\0\0\1\0'))
    elif case == 'float pixels':
        path.write_bytes(content.replace(b'\xe0\x7f\x10\0OW', b'\xe0\x7f\x08\0OF'))
    else:
        data.file_meta.TransferSyntaxUID = '1.2.3'
        data.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    (problem,) = find_scans(path)
    assert isinstance(problem, Problem) and words in problem.reason


def test_memory_does_not_grow_with_the_frames(tmp_path):
    """Slices of a file with eight times as many frames are read in the same memory."""
    import tracemalloc

    peaks = []
    for number in (8, 64):
        frames = [FRAMES[0].repeat(4, 0).repeat(4, 1)] * number
        (scan,) = find_scans(save_dicom(tmp_path / f'{number}.dcm', enhanced_ct(frames)))
        tracemalloc.start()
        count = sum(not isinstance(item, Problem) for item in scan.read())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == number
    assert peaks[1] < 1.2 * peaks[0] < 64 * frames[0].nbytes
