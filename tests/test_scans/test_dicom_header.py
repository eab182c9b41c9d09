"""Headers of DICOM files: axial CT slices and others."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, dicom_slice, save_dicom

from mmaffinity.scans.dicom_frames import read_headers

pydicom = pytest.importorskip('pydicom')


def read_header(path):
    (header,) = read_headers(path, path.name, 'key')
    return header


def header_of(path, **changes):
    return read_header(save_dicom(path / 'x.dcm', dicom_slice(chest().astype(np.int16), **changes)))


def test_header_has_what_ordering_and_geometry_need(tmp_path):
    header = header_of(tmp_path, index=3)
    assert (header.shape, header.spacing, header.corner) == ((64, 64), (0.8, 0.7), (-100, -80, -285))
    assert header.orientation == (1, 0, 0, 0, 1, 0) and header.thickness == 5 and header.number == 4
    assert header.notes == () and header.tilt == 0 and header.location is None
    assert header.series_uid.startswith('1.2.826') and header.name == 'x.dcm' and header.key == 'key'


@pytest.mark.parametrize(
    'changes, reason',
    [
        (dict(Modality='MR'), 'modality MR, not CT'),
        (dict(ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER']), 'localizer'),
        (dict(SOPClassUID='1.2.840.10008.5.1.4.1.1.7'), 'not a CT image: Secondary Capture'),
        (dict(SOPClassUID='1.2.840.10008.5.1.4.1.1.2.1'), 'Enhanced CT'),
        (dict(NumberOfFrames=5), '5 frames'),
        (dict(Modality=None, SOPClassUID=None), 'neither Modality'),
        (dict(Rows=1, Columns=1), 'is 1 x 1 pixels, too small'),
        (dict(Rows=60000, Columns=60000), '60000 x 60000'),
        (dict(SamplesPerPixel=3), 'colour'),
        (dict(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), 'coronal'),
        (dict(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), 'sagittal'),
    ],
)
def test_files_other_than_axial_ct_slices_are_rejected(tmp_path, changes, reason):
    with pytest.raises(ValueError, match=reason):
        header_of(tmp_path, **changes)


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(ImageOrientationPatient=None), 'no ImageOrientationPatient'),
        (dict(PixelSpacing=None), 'areas and volumes'),
        (dict(PixelSpacing=[0, 1]), 'areas and volumes'),
        (dict(BodyPartExamined='HEAD'), 'trained on chest CT only'),
    ],
)
def test_doubtful_entries_are_noted(tmp_path, changes, words):
    assert words in ' '.join(header_of(tmp_path, **changes).notes)


def test_damaged_numbers_are_treated_as_missing(tmp_path):
    data = dicom_slice(chest().astype(np.int16))
    for keyword, value in (('ImagePositionPatient', ['1', '2']), ('SliceThickness', None), ('InstanceNumber', None)):
        data[keyword].value = value
    header = read_header(save_dicom(tmp_path / 'x.dcm', data))
    assert header.corner is None and header.thickness is None and header.number is None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_a_header_or_a_reason(tmp_path, data):
    content = io.BytesIO()
    dicom_slice(chest(size=32).astype(np.int16)).save_as(content, enforce_file_format=True)
    raw = bytearray(content.getvalue()[:1200])
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(132, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / 'damaged.dcm'
    path.write_bytes(raw[: data.draw(st.integers(133, len(raw)))])
    try:
        assert min(read_header(path).shape) >= 32
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    'changes, attribute, words',
    [
        (dict(PixelSpacing=['1e200', '1e200']), 'spacing', 'PixelSpacing is 1e+200, 1e+200'),
        (dict(ImagePositionPatient=['0', '0', '1e308']), 'corner', 'ImagePositionPatient is 0, 0, 1e+308'),
        (dict(SliceThickness='1e308'), 'thickness', 'SliceThickness is 1e+308'),
        (dict(SliceLocation='-1e300'), 'location', 'SliceLocation is -1e+300'),
    ],
)
def test_implausible_numbers_are_ignored_and_noted(tmp_path, changes, attribute, words):
    header = header_of(tmp_path, **changes)
    assert getattr(header, attribute) is None and words in ' '.join(header.notes)


def test_colours_are_rejected_and_implausible_entries_noted(tmp_path):
    with pytest.raises(ValueError, match='PALETTE COLOR'):
        header_of(tmp_path, PhotometricInterpretation='PALETTE COLOR')
    assert 'the model was trained on chest CT only' in ' '.join(header_of(tmp_path, BodyPartExamined='LIVER').notes)
    assert header_of(tmp_path, BodyPartExamined='CHESTABDPELVIS').notes == ()
    assert 'so there is no air' in ' '.join(header_of(tmp_path, PixelRepresentation=0).notes)
