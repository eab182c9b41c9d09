"""DICOM files are read within limits."""

import io
import zlib

import numpy as np
import pytest
from scan_helpers import chest, dicom_slice, save_dicom

from mmaffinity.scans import dicom_reading
from mmaffinity.scans.dicom_frames import read_headers
from mmaffinity.scans.dicom_reading import read_dataset

pydicom = pytest.importorskip('pydicom')


def deflated(tmp_path, size):
    """A deflated file whose pixel data unpack to ``size`` bytes."""
    content = io.BytesIO()
    data = dicom_slice(chest().astype(np.int16))
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(content, enforce_file_format=True)
    raw = content.getvalue()
    start = 144 + int.from_bytes(raw[140:144], 'little')
    unpacked = zlib.decompress(raw[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    parts = [packer.compress(unpacked)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    parts.append(packer.flush())
    (tmp_path / 'deflated.dcm').write_bytes(raw[:start] + b''.join(parts))
    return tmp_path / 'deflated.dcm'


def test_deflated_files_are_read_within_bounds(tmp_path, monkeypatch):
    assert read_headers(deflated(tmp_path, 0), 'x', 'key')[0].shape == (64, 64)
    monkeypatch.setattr(dicom_reading, 'MAX_FILE_BYTES', 4 << 20)
    with pytest.raises(ValueError, match='expands to more than 4194304 bytes'):
        read_headers(deflated(tmp_path, 8 << 20), 'x', 'key')


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    path = save_dicom(tmp_path / 'x.dcm', dicom_slice(chest().astype(np.int16)))
    monkeypatch.setitem(__import__('sys').modules, 'pydicom', None)
    with pytest.raises(ValueError, match=r'mmaffinity\[medical\]'):
        read_dataset(path)


@pytest.mark.parametrize('case', ['no preamble', 'a large element before the transfer syntax'])
def test_deflated_files_are_bounded_however_the_meta_is_written(tmp_path, monkeypatch, case):
    monkeypatch.setattr(dicom_reading, 'MAX_FILE_BYTES', 4 << 20)
    path = deflated(tmp_path, 8 << 20)
    raw = path.read_bytes()
    if case == 'no preamble':
        path.write_bytes(raw[132:])
    else:
        filler = b'\2\0\1\0OB\0\0' + (8192).to_bytes(4, 'little') + bytes(8192)
        path.write_bytes(raw[:132] + filler + raw[144:])
    with pytest.raises(ValueError, match='expands to more than 4194304 bytes'):
        read_headers(path, 'x', 'key')


def test_a_truncated_file_is_called_truncated(tmp_path):
    """Not by the error that pydicom meets while it words its own warning."""
    data = dicom_slice(chest().astype(np.int16))
    data.compress(pydicom.uid.RLELossless)
    content = io.BytesIO()
    data.save_as(content, enforce_file_format=True)
    path = tmp_path / 'cut.dcm'
    path.write_bytes(content.getvalue()[:-200])
    with pytest.raises(ValueError, match='^is a truncated DICOM file: copy or export it again$'):
        read_dataset(path)
