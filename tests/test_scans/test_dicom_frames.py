"""Enhanced CT: frames equal the slices of the same series in single files."""

import io
import os
import struct

import numpy as np
import pytest
from frame_helpers import LEGACY, chest_frames, compressed, encapsulated, enhanced_ct, position
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, dicom_slice, jpeg_lossless, save_dicom, to_grey

from mmaffinity.scans import Problem, find_scans
from mmaffinity.scans.dicom_frames import read_headers

pydicom = pytest.importorskip('pydicom')


def frames_in(path):
    """Return the only scan of a file or folder, and the problems."""
    found = list(find_scans(path))
    (scan,) = (item for item in found if not isinstance(item, Problem))
    return scan, [item for item in found if isinstance(item, Problem)]


def read(scan):
    """Read the slices of a scan without problems."""
    slices = list(scan.read())
    assert not [str(item) for item in slices if isinstance(item, Problem)]
    return slices


def assert_same(single, multi):
    """The same grey levels at the same places."""
    ours, theirs = read(multi), read(single)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs):
        assert np.array_equal(one.grey, two.grey)
        assert (one.index, one.spacing, one.thickness, one.position, one.view, one.notes) == (
            two.index,
            two.spacing,
            two.thickness,
            two.position,
            two.view,
            two.notes,
        )
    for name in ('kind', 'num_slices', 'spacing', 'slice_spacing', 'affine', 'shape', 'notes', 'study_uid'):
        assert getattr(multi.info, name) == getattr(single.info, name), name


@pytest.fixture
def single(tmp_path):
    for index, frame in enumerate(chest_frames(4)):
        save_dicom(tmp_path / 'single' / f'{9 - index}.dcm', dicom_slice(frame, index))
    (scan,) = find_scans(tmp_path / 'single')
    return scan


def test_frames_are_the_slices_of_single_files(tmp_path, single):
    path = save_dicom(tmp_path / 'm' / 'e.dcm', enhanced_ct(chest_frames(4)))
    scan, problems = frames_in(tmp_path / 'm')
    assert_same(single, scan)
    slices = read(scan)
    assert [item.name for item in slices] == [f'm/e.dcm#frame {number}' for number in (1, 2, 3, 4)] and not problems
    assert [header.path for header in scan.headers] == [path] * 4
    stamp = path.stat()
    assert scan.keys()[1] == f'm/e.dcm#frame 2|{stamp.st_size}.{stamp.st_mtime_ns}'
    assert [item.key for item in scan.read({scan.keys()[0], scan.keys()[3]})] == scan.keys()[1:3]
    # The file as input gives the same.
    assert_same(single, frames_in(path)[0])


@pytest.mark.parametrize('syntax', ['ExplicitVRLittleEndian', 'RLELossless', 'JPEG2000Lossless'])
def test_series_converted_by_highdicom_is_unchanged(tmp_path, single, syntax):
    highdicom = pytest.importorskip('highdicom')
    sources = [pydicom.dcmread(header.path) for header in single.headers]
    if syntax == 'JPEG2000Lossless':  # highdicom supports only unsigned values
        for data in sources:
            data.PixelData = (data.pixel_array + 1024).astype(np.uint16).tobytes()
            data.PixelRepresentation, data.RescaleIntercept = 0, -1024
    legacy = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        sources[::-1], highdicom.UID(), 7, highdicom.UID(), 1, transfer_syntax_uid=getattr(pydicom.uid, syntax)
    )
    assert legacy.SOPClassUID == LEGACY
    assert_same(single, frames_in(save_dicom(tmp_path / 'm' / 'l.dcm', legacy))[0])


@pytest.mark.parametrize('table', ['basic', 'extended', 'none'])
@pytest.mark.parametrize('syntax', ['RLELossless', 'JPEGLSLossless', 'JPEGLosslessSV1'])
def test_compressed_frames(tmp_path, single, syntax, table):
    if syntax == 'JPEGLosslessSV1':
        pytest.importorskip('libjpeg', reason='pylibjpeg-libjpeg is not installed: make setup EXTRAS=jpeg')
    frames = [(frame + 1024).astype(np.uint16) for frame in chest_frames(4)]
    packed = [jpeg_lossless(frame) if syntax == 'JPEGLosslessSV1' else compressed(frame, syntax) for frame in frames]
    data = enhanced_ct(frames, shared={'PixelValueTransformation': dict(RescaleSlope=1, RescaleIntercept=-1024)})
    save_dicom(tmp_path / 'm.dcm', encapsulated(data, packed, getattr(pydicom.uid, syntax), table))
    assert_same(single, frames_in(tmp_path / 'm.dcm')[0])
    if syntax != 'RLELossless':  # in several fragments each
        save_dicom(tmp_path / 'm.dcm', encapsulated(data, packed, getattr(pydicom.uid, syntax), table, 3))
        assert_same(single, frames_in(tmp_path / 'm.dcm')[0])


@pytest.mark.parametrize('implicit, little', [(True, True), (False, False)])
def test_other_byte_orders(tmp_path, single, implicit, little):
    frames = chest_frames(4)
    data = enhanced_ct(frames)
    data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRBigEndian
    if not little:
        data.PixelData = b''.join(frame.astype('>i2').tobytes() for frame in frames)
    data.save_as(tmp_path / 'm.dcm', implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    assert_same(single, frames_in(tmp_path / 'm.dcm')[0])


def test_values_of_a_frame_override_those_of_all(tmp_path, single):
    """Each frame has its own slope and padding; the third is also inverted against the shared intercept."""
    stored, macros = [], []
    for index, frame in enumerate(chest_frames(4)):
        slope = index + 1
        stored.append(((frame + 1024) * 4 // slope).astype(np.uint16) if slope != 3 else (frame + 1024).astype(np.uint16))
        macros.append(
            {
                'PixelValueTransformation': dict(
                    RescaleSlope=slope / 4 if slope != 3 else 1, RescaleIntercept=-1024, RescaleType='HU'
                )
            }
        )
    stored[1][:5] = 0
    macros[1]['UnassignedPerFrameConvertedAttributes'] = dict(PixelPaddingValue=0)
    path = save_dicom(
        tmp_path / 'm.dcm',
        enhanced_ct(stored, macros, {'PixelValueTransformation': dict(RescaleSlope=9, RescaleIntercept=9, RescaleType='US')}),
    )
    slices = read(frames_in(path)[0])
    for index, item in enumerate(slices):
        assert np.abs(item.grey.astype(int) - to_grey(chest_frames(4)[index]))[5:].max() <= 1
    assert (slices[1].grey[:5] == to_grey(np.float64(-1000))).all()


def test_monochrome1(tmp_path, single):
    frames = [(4095 - (frame + 1024)).astype(np.uint16) for frame in chest_frames(4)]
    rescale = dict(RescaleSlope=1, RescaleIntercept=-1024, RescaleType='HU')
    save_dicom(
        tmp_path / 'm.dcm',
        enhanced_ct(
            frames,
            shared={'PixelValueTransformation': rescale},
            BitsStored=12,
            HighBit=11,
            PhotometricInterpretation='MONOCHROME1',
        ),
    )
    slices = read(frames_in(tmp_path / 'm.dcm')[0])
    assert all(np.array_equal(one.grey, two.grey) for one, two in zip(slices, read(single)))
    assert slices[0].notes == ('MONOCHROME1: stored values were inverted',)


def test_frames_in_any_order_and_view(tmp_path, single):
    order = [2, 0, 3, 1]
    frames = chest_frames(4)
    save_dicom(
        tmp_path / 'm.dcm',
        enhanced_ct(
            [np.ascontiguousarray(frames[at][:, ::-1]) for at in order],
            [{'PlanePosition': position(at)} for at in order],
            {'PlaneOrientation': dict(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])},
        ),
    )
    scan, _ = frames_in(tmp_path / 'm.dcm')
    slices = read(scan)
    assert [item.name for item in slices] == [f'm.dcm#frame {number}' for number in (2, 4, 1, 3)]
    assert all(np.array_equal(one.grey, two.grey) and one.position == two.position for one, two in zip(slices, read(single)))


@pytest.mark.parametrize(
    'macro, words',
    [
        ({'CTImageFrameType': dict(FrameType=['ORIGINAL', 'PRIMARY', 'LOCALIZER', 'NONE'])}, 'localizer'),
        ({'PlaneOrientation': dict(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])}, 'coronal'),
    ],
)
def test_localizers_and_other_planes_are_omitted(tmp_path, macro, words):
    save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(5), [macro, {}, {}, macro, {}]))
    scan, problems = frames_in(tmp_path / 'm.dcm')
    (problem,) = problems
    assert problem.source.endswith('m.dcm#frames 1, 4') and words in problem.reason
    assert [item.name for item in read(scan)] == [f'm.dcm#frame {number}' for number in (2, 3, 5)]
    save_dicom(tmp_path / 'all.dcm', enhanced_ct(chest_frames(3), shared=macro))
    (only,) = find_scans(tmp_path / 'all.dcm')
    assert isinstance(only, Problem) and only.source.endswith('all.dcm') and words in only.reason


def test_notes_of_geometry_and_anatomy(tmp_path):
    region = pydicom.Dataset()
    region.CodeMeaning = 'Abdomen'
    save_dicom(
        tmp_path / 'm.dcm',
        enhanced_ct(
            chest_frames(4),
            [{'PlanePosition': dict(ImagePositionPatient=[0, 0, height])} for height in (0, 5, 10, 20)],
            {'FrameAnatomy': dict(AnatomicRegionSequence=[region]), 'CTAcquisitionDetails': dict(GantryDetectorTilt=12.0)},
        ),
    )
    notes = ' '.join(frames_in(tmp_path / 'm.dcm')[0].info.notes)
    for words in ('BodyPartExamined is ABDOMEN', 'gantry tilt: 12.0 degrees', 'missing, between'):
        assert words in notes


@pytest.mark.parametrize('numbered', [True, False])
def test_without_positions_frames_keep_their_order(tmp_path, numbered):
    macros = [
        {'PlanePosition': {}, 'FrameContent': dict(InStackPositionNumber=12 - at) if numbered else {}} for at in range(12)
    ]
    scan, _ = frames_in(save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(12), macros)))
    assert 'ordered by frame number' in ' '.join(scan.info.notes) and scan.info.affine is None
    numbers = [int(item.name.rpartition(' ')[2]) for item in scan.read()]
    assert numbers == (list(range(12, 0, -1)) if numbered else list(range(1, 13)))


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


@pytest.mark.parametrize('undefined', [False, True])
def test_headers_with_too_many_entries_are_rejected(tmp_path, undefined):
    """pydicom takes minutes and gigabytes for them."""
    path = save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(2)))
    content = path.read_bytes()
    at = content.index(b'\0\x52\x30\x92SQ\0\0')
    end = at + 12 + struct.unpack_from('<I', content, at + 8)[0]
    items = (b'\xfe\xff\0\xe0' + struct.pack('<I', 8) + b'\x20\0\x56\x90SH\0\0') * 150_000
    length = b'\xff\xff\xff\xff' if undefined else struct.pack('<I', len(items))
    path.write_bytes(content[: at + 8] + length + items + b'\xfe\xff\xdd\xe0\0\0\0\0' * undefined + content[end:])
    (problem,) = find_scans(path)
    assert 'entries for a' in problem.reason


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


def test_a_real_series_converted(tmp_path, shared_dir):
    highdicom = pytest.importorskip('highdicom')
    pytest.importorskip('libjpeg', reason='pylibjpeg-libjpeg is not installed: make setup EXTRAS=jpeg')
    folder = shared_dir / 'data' / 'ct_dicom'
    if not folder.is_dir():
        pytest.skip(f'no {folder}')
    series = tmp_path / 'single'
    series.mkdir()
    for path in sorted(folder.iterdir())[:8]:
        (series / path.name).write_bytes(path.read_bytes())
    (single,) = find_scans(series)
    sources = [pydicom.dcmread(header.path) for header in single.headers]
    for data in sources:
        data.SOPInstanceUID = data.SOPInstanceUID or highdicom.UID()  # emptied by its publisher
    with pytest.warns(UserWarning):
        legacy = highdicom.legacy.LegacyConvertedEnhancedCTImage(sources, highdicom.UID(), 1, highdicom.UID(), 1, strict=False)
    legacy.save_as(tmp_path / 'm.dcm')
    scan, problems = frames_in(tmp_path / 'm.dcm')
    assert_same(single, scan)
    assert scan.info.num_slices == 8 and not problems


@pytest.mark.parametrize('case', ['huge offsets', 'negative offsets', 'no table', 'falling offsets'])
@pytest.mark.parametrize('table', ['basic', 'extended'])
def test_wrong_offsets_are_ignored(tmp_path, single, case, table):
    frames = chest_frames(4)
    data = encapsulated(
        enhanced_ct(frames), [compressed(frame, 'RLELossless') for frame in frames], pydicom.uid.RLELossless, table
    )
    offsets = {
        'huge offsets': [0, 2**31, 2**31 + 1, 2**31 + 2],
        'negative offsets': [0, -8, -16, -24],
        'no table': [],
        'falling offsets': [0, 8, 4, 2],
    }[case]
    code = '<Q' if table == 'extended' else '<I'
    entries = b''.join(struct.pack(code, offset % 2 ** (8 * struct.calcsize(code))) for offset in offsets)
    if table == 'extended':
        data.ExtendedOffsetTable = entries
    else:
        data.PixelData = b'\xfe\xff\0\xe0' + struct.pack('<I', len(entries)) + entries + data.PixelData[8 + 16 :]
        data['PixelData'].is_undefined_length = True
    assert_same(single, frames_in(save_dicom(tmp_path / 'm.dcm', data))[0])
