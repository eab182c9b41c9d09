"""Compressed pixels with excessive claims or the wrong size are rejected before decoding."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, dicom_slice, save_dicom

from mmaffinity.scans.compressed_pixels import codestream_size
from mmaffinity.scans.dicom_frames import read_headers
from mmaffinity.scans.dicom_pixels import read_hounsfield
from mmaffinity.scans.items import ReadOptions

pydicom = pytest.importorskip('pydicom')
HU = chest().astype(np.int16)


def read(path, data):
    return read_hounsfield(read_headers(save_dicom(path / 'x.dcm', data), 'x', 'key')[0], ReadOptions())


def test_code_stream_must_match_the_size_in_the_header(tmp_path):
    data = dicom_slice(HU.astype(np.uint16))
    frame = b'\xff\xd8\xff\xc0\x00\x0b\x08' + (60000).to_bytes(2, 'big') * 2 + b'\x01\x01\x11\x00' + bytes(100)
    assert codestream_size(frame) == (60000, 60000)
    data.PixelData = pydicom.encaps.encapsulate([frame])
    data['PixelData'].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    with pytest.raises(ValueError, match='60000 x 60000 pixels, but the header says 64 x 64'):
        read(tmp_path, data)


def test_code_stream_sizes():
    size = b''.join(value.to_bytes(4, 'big') for value in (100, 70, 10, 20))
    stream = b'\xff\x4f\xff\x51\x00\x29\x00\x00' + size
    assert codestream_size(stream) == (50, 90)
    assert codestream_size(b'\0\0\0\x0cjP  ' + bytes(40) + stream) == (50, 90)
    assert codestream_size(b'') is None and codestream_size(b'\xff\xd8') is None and codestream_size(bytes(64)) is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200),
    st.sampled_from(
        ['RLELossless', 'JPEGBaseline8Bit', 'JPEG2000', 'JPEGLSLossless', 'JPEGLosslessSV1', 'ExplicitVRLittleEndian']
    ),
)
def test_any_pixel_data_is_decoded_or_rejected(tmp_path, content, syntax):
    data = dicom_slice(chest(size=32).astype(np.uint16))
    data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    data.PixelData = content + b'\0' * (len(content) % 2)
    if syntax != 'ExplicitVRLittleEndian':
        data.PixelData = pydicom.encaps.encapsulate([content or b'\0'])
        data['PixelData'].is_undefined_length = True
    try:
        assert read(tmp_path, data)[0].shape == (32, 32)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize('runs, reason', [(1 << 14, 'expands to more than'), (4 << 20, 'compressed pixel data has')])
def test_rle_data_that_expands_beyond_the_slice_is_rejected(tmp_path, runs, reason):
    segment = b'\x81\x00' * runs
    data = dicom_slice((HU + 1024).astype(np.uint16), RescaleIntercept=-1024)
    frame = b''.join(value.to_bytes(4, 'little') for value in (2, 64, 64 + len(segment), *[0] * 13)) + segment * 2
    data.PixelData = pydicom.encaps.encapsulate([frame])
    data['PixelData'].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, data)


def run_length_head(*starts):
    return b''.join(value.to_bytes(4, 'little') for value in (len(starts), *starts, *[0] * (15 - len(starts))))


NOTHING = b'\x80' * (1 << 20)  # control bytes without output


@pytest.mark.parametrize(
    'content, reason',
    [
        (run_length_head(*[64, len(NOTHING)] * 7, 64) + NOTHING, 'has 15 RLE segments, but 16 bits per pixel need 2'),
        (run_length_head(len(NOTHING), 64) + NOTHING, 'RLE segments that overlap'),
        (run_length_head(64, 1 << 31) + NOTHING, 'RLE segments that overlap'),
        (run_length_head(0, 64) + NOTHING, 'RLE segments that overlap'),
        (run_length_head(64, 128) + NOTHING, 'expands to more than'),
        (b'\2\0\0\0', 'fewer than the 64 of an RLE header'),
    ],
)
def test_malformed_rle_segments_are_rejected_in_one_pass(tmp_path, content, reason):
    data = dicom_slice((HU + 1024).astype(np.uint16))
    data.PixelData = pydicom.encaps.encapsulate([content])
    data['PixelData'].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, data)


@pytest.mark.parametrize('syntax', ['RLELossless', 'JPEG2000'])
def test_fragments_are_counted_before_they_are_parsed(tmp_path, monkeypatch, syntax):
    """An object for each empty fragment of a 50 MB file took a minute and over a gigabyte."""
    monkeypatch.setattr(pydicom.encaps, 'generate_frames', lambda *args, **kwargs: pytest.fail('parsed'))
    for number, reason in ((5000, 'has more than 4096 fragments'), (1 << 18, 'compressed pixel data has 2097152 bytes')):
        data = dicom_slice((HU + 1024).astype(np.uint16))
        data.PixelData = b'\xfe\xff\x00\xe0\0\0\0\0' * number
        data['PixelData'].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
        with pytest.raises(ValueError, match=reason):
            read(tmp_path, data)
