"""Damaged and hostile enhanced CT: clear errors within bounds, and intact frames that are still read."""

import io
import os

import numpy as np
import pytest
from frame_helpers import chest_frames, compressed, encapsulated, enhanced_ct, frames_in, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, dicom_slice, save_dicom, to_grey

from mmaffinity.scans import Problem, find_scans
from mmaffinity.scans.dicom_frames import read_headers

pydicom = pytest.importorskip('pydicom')


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(PerFrameFunctionalGroupsSequence=None), 'NumberOfFrames 3, but no PerFrameFunctionalGroupsSequence'),
        (dict(NumberOfFrames=None, PerFrameFunctionalGroupsSequence=None), 'NumberOfFrames absent, but no PerFrame'),
        (dict(Modality='MR'), 'has modality MR'),
        (dict(Rows=None), '0 x 64'),
        (dict(Rows=60000, Columns=60000), 'too large'),
        (dict(PixelData=None), 'no pixel data'),
        (dict(BitsAllocated=None), 'BitsAllocated None'),
        (dict(SamplesPerPixel=3), 'colour'),
        (dict(PhotometricInterpretation='RGB'), 'colours'),
    ],
)
def test_unusable_files_are_rejected(tmp_path, change, words):
    data = enhanced_ct(chest_frames(3))
    for keyword, value in change.items():
        delattr(data, keyword) if value is None else setattr(data, keyword, value)
    (problem,) = find_scans(save_dicom(tmp_path / 'm.dcm', data))
    assert isinstance(problem, Problem) and words in problem.reason and problem.source.endswith('m.dcm')


def test_other_multi_frame_files_are_rejected(tmp_path):
    data = enhanced_ct(chest_frames(3), SOPClassUID='1.2.840.10008.5.1.4.1.1.4.1', Modality='MR')
    (problem,) = find_scans(save_dicom(tmp_path / 'm.dcm', data))
    assert isinstance(problem, Problem)
    data = dicom_slice(np.concatenate(chest_frames(3)), Rows=64, NumberOfFrames=3)
    (problem,) = find_scans(save_dicom(tmp_path / 'm.dcm', data))
    assert '3 frames' in problem.reason


@pytest.mark.parametrize('claimed', [2, 5, 0, -1, 2**31 - 1])
def test_a_wrong_number_of_frames(tmp_path, claimed):
    save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(4), NumberOfFrames=claimed))
    scan, problems = frames_in(tmp_path / 'm.dcm')
    assert len(read(scan)) == 4 and f'NumberOfFrames is {claimed}, but' in ' '.join(scan.info.notes)
    assert [problem.source.rpartition('#')[2] for problem in problems] == (
        [f'frames 5 to {claimed}'] if claimed > 5 else ['frame 5'] if claimed == 5 else []
    )


@pytest.mark.parametrize('syntax', [None, 'RLELossless'])
def test_a_frame_missing_in_the_headers(tmp_path, syntax):
    frames = chest_frames(4)
    data = enhanced_ct(frames)
    del data.PerFrameFunctionalGroupsSequence[3]
    if syntax:
        encapsulated(data, [compressed(frame, syntax) for frame in frames], getattr(pydicom.uid, syntax), 'none')
    scan, (problem,) = frames_in(save_dicom(tmp_path / 'm.dcm', data))
    assert problem.source.endswith('#frame 4') and 'no item in PerFrameFunctionalGroupsSequence' in problem.reason
    assert [np.array_equal(item.grey, to_grey(frames[at])) for at, item in enumerate(read(scan))] == [True] * 3
    assert 'a frame may be missing' in ' '.join(scan.info.notes)


def test_damaged_frame_does_not_affect_the_others(tmp_path):
    data = enhanced_ct(chest_frames(5))
    del data.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    path = save_dicom(tmp_path / 'm.dcm', data)
    path.write_bytes(path.read_bytes()[: -8192 - 100])
    *scans, problem = sorted(find_scans(path), key=lambda item: isinstance(item, Problem))
    # The frame without position is a separate scan.
    assert [[item.name for item in read(scan)] for scan in sorted(scans, key=lambda scan: -scan.info.num_slices)] == [
        ['m.dcm#frame 1', 'm.dcm#frame 2'],
        ['m.dcm#frame 3'],
    ]
    assert problem.source.endswith('m.dcm#frames 4 to 5') and 'truncated' in problem.reason
    assert '3 complete frames of 8192 bytes' in problem.reason


def test_claimed_but_missing_frames_cost_nothing(tmp_path):
    data = enhanced_ct(chest_frames(2))
    data.PerFrameFunctionalGroupsSequence = [*data.PerFrameFunctionalGroupsSequence, *[pydicom.Dataset()] * 5000]
    scan, (problem,) = frames_in(save_dicom(tmp_path / 'm.dcm', data))
    assert scan.info.num_slices == 2 and problem.source.endswith('#frames 3 to 5002')


@pytest.mark.parametrize(
    'old, new, words', [(b'PIXELSPACING', b'0,8\\0,7', 'decimal comma'), (b'1234567', b'not one', 'not a number')]
)
def test_values_of_the_wrong_type_affect_only_what_needs_them(tmp_path, old, new, words):
    number = b'0.123456\\0.7' if old == b'PIXELSPACING' else b'1234567'
    macro = (
        {'PixelMeasures': dict(PixelSpacing=[0.123456, 0.7])}
        if old == b'PIXELSPACING'
        else {'PixelValueTransformation': dict(RescaleSlope=1234567, RescaleIntercept=0)}
    )
    path = save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(3), [{}, macro, {}]))
    content = path.read_bytes()
    assert content.count(number) == 1
    path.write_bytes(content.replace(number, new.ljust(len(number))))
    scans = [item for item in find_scans(path) if not isinstance(item, Problem)]
    results = {item.source if isinstance(item, Problem) else item.name: item for scan in scans for item in scan.read()}
    assert len(results) == 3 and not any(isinstance(results[f'm.dcm#frame {at}'], Problem) for at in (1, 3))
    if old == b'PIXELSPACING':
        assert words in ' '.join(scans[0].info.notes)
    else:
        assert words in results['m.dcm#frame 2'].reason


def test_invalid_number_of_frames(tmp_path):
    path = save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(3), NumberOfFrames=1234))
    path.write_bytes(path.read_bytes().replace(b'1234', b'many', 1))
    scan, problems = frames_in(path)
    assert len(read(scan)) == 3 and 'NumberOfFrames is many, but' in ' '.join(scan.info.notes) and not problems


def test_a_changed_file_is_not_read_by_old_offsets(tmp_path):
    path = save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(3)))
    scan, _ = frames_in(path)
    os.utime(path, ns=(1, 1))
    assert all('has changed since' in item.reason for item in scan.read())


def test_a_copied_file_counts_once(tmp_path):
    for name in 'ab':
        save_dicom(tmp_path / f'{name}.dcm', enhanced_ct(chest_frames(3)))
    scan, problems = frames_in(tmp_path)
    assert scan.info.num_slices == 3 and 'same SOPInstanceUID' not in ' '.join(scan.info.notes)
    (problem,) = problems
    assert 'contains the same image as' in problem.reason and 'further frames' in problem.reason


def test_deflated_files_are_rejected_within_bounds(tmp_path, monkeypatch):
    data = enhanced_ct(chest_frames(3))
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    path = save_dicom(tmp_path / 'm.dcm', data)
    (problem,) = find_scans(path)
    assert 'is deflated, so' in problem.reason
    monkeypatch.setattr('mmaffinity.scans.dicom_reading.MAX_FILE_BYTES', 4096)
    (problem,) = find_scans(path)
    assert 'expands to more than 4096' in problem.reason or 'more than 4096 bytes' in problem.reason


def test_large_files_with_small_headers_are_read(tmp_path, monkeypatch):
    """Size limits for single-slice files do not apply to multi-frame files; header limits apply to both."""
    path = save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(8)))
    other = save_dicom(tmp_path / 's.dcm', dicom_slice(chest(size=128).astype(np.int16)))
    for module in ('dicom_reading', 'dicom_frames'):
        monkeypatch.setattr(f'mmaffinity.scans.{module}.MAX_FILE_BYTES', 30000)
    assert path.stat().st_size > 60000 and len(read(frames_in(path)[0])) == 8
    with pytest.raises(ValueError, match='above the limit of 30000'):
        read_headers(other, 's.dcm', 's.dcm|1')
    monkeypatch.setattr('mmaffinity.scans.dicom_reading.MAX_HEADER_BYTES', 1000)
    (problem,) = find_scans(path)
    assert 'above the limit of 1000 bytes' in problem.reason
    monkeypatch.undo()
    monkeypatch.setattr('mmaffinity.scans.dicom_frames.MAX_FRAMES', 7)
    (problem,) = find_scans(path)
    assert 'has 8 frames, above the limit of 7' in problem.reason


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_frames_or_reasons(tmp_path, data):
    content = io.BytesIO()
    frames = chest_frames(3, 32)
    source = enhanced_ct(frames)
    if data.draw(st.booleans()):
        encapsulated(
            source,
            [compressed(frame, 'RLELossless') for frame in frames],
            pydicom.uid.RLELossless,
            data.draw(st.sampled_from(['basic', 'extended', 'none'])),
        )
    source.save_as(content, enforce_file_format=True)
    raw = bytearray(content.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(132, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / 'damaged.dcm'
    path.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
    for item in find_scans(path):
        for one in [item] if isinstance(item, Problem) else item.read():
            assert one.reason if isinstance(one, Problem) else one.grey.shape[0] >= 32
