"""Enhanced CT: frames equal the slices of the same series in single files."""

import struct

import numpy as np
import pytest
from frame_helpers import LEGACY, assert_same, chest_frames, compressed, encapsulated, enhanced_ct, frames_in, position, read
from scan_helpers import dicom_slice, jpeg_lossless, save_dicom, to_grey

from mmaffinity.scans import Problem, find_scans

pydicom = pytest.importorskip('pydicom')


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
