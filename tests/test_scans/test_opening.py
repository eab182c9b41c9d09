"""Opening of untrusted files."""

import gzip
import io
import os
import struct
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_helpers import chest, chest_volume, dicom_slice, save_dicom, write_images, write_nifti, write_series

from mmaffinity.scans.opening import brief, file_key, is_clutter, kind_of, open_regular, printable, read_regular
from mmaffinity.utils.decoding import decode_slice


def test_type_is_detected_by_content_not_name(tmp_path):
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    png = write_images(tmp_path, 1) / 'slice_0.png'
    dicom = next(write_series(tmp_path / 'd', 1).iterdir())
    for path, kind in (
        (png, 'image'),
        (dicom, 'dicom'),
        (write_nifti(tmp_path / 'v.nii', chest_volume()), 'nifti'),
        (write_nifti(tmp_path / 'v.nii.gz', chest_volume()), 'nifti'),
    ):
        other = tmp_path / 'no_extension'
        other.write_bytes(path.read_bytes())
        assert kind_of(path) == kind_of(other) == kind


@pytest.mark.parametrize('suffix', ['bmp', 'jpg', 'pbm', 'pgm', 'png', 'ppm', 'tif', 'webp'])
def test_every_image_format_is_detected_and_read(tmp_path, suffix):
    path = tmp_path / f'a.{suffix}'
    image = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    cv2.imwrite(str(path), np.stack([image] * 3, -1) if suffix == 'ppm' else image)
    assert kind_of(path) == 'image'
    assert decode_slice(read_regular(path)).shape == (64, 64)


def test_bigtiff_is_detected_and_read(tmp_path):
    image = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    tags = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 16, 278: 64, 279: image.size}
    entries = b''.join(struct.pack('<HHQQ', tag, 4, 1, value) for tag, value in tags.items())
    header = b'II+\0' + struct.pack('<HHQ', 8, 0, 16 + image.size)
    path = tmp_path / 'big.tif'
    path.write_bytes(header + image.tobytes() + struct.pack('<Q', len(tags)) + entries + bytes(8))
    assert kind_of(path) == 'image'
    assert np.array_equal(decode_slice(read_regular(path)), image)


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as file:
        file.writestr('../../escape.txt', 'x')
    return content.getvalue()


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', 'is empty'),
        (archive(), 'zip archive'),
        (gzip.compress(b'x' * 1000), 'gzip-compressed but not NIfTI'),
        (gzip.compress(bytes(128) + b'DICM' + bytes(400)), 'gzip-compressed but not NIfTI'),
        (b'\x1f\x8b' + b'\xff' * 600, 'damaged gzip'),
        (b'\0' * 1000, 'zero bytes only'),
        (b'<html>', 'web page'),
        (b'\0\0\0\x0cjP  \r\n\x87\n' + bytes(9), 'is JPEG 2000: save it as PNG'),
        (b'\xff\x4f\xff\x51\0', 'JPEG 2000 code stream'),
        (b'\0\0\0\x20ftypavif\0\0', r'is AVIF \(avif\): save it as PNG'),
        (b'\0\0\0\x18ftypheic\0', 'HEIC'),
        (b'\0\0\0\x0cJXL \r\n\x87\n', 'JPEG XL'),
        (b'\0\0\0\x18ftypmp42\0', 'a video or image container'),
        (b'plain text', 'neither DICOM'),
        (b'BMI;age\n21;60\n', 'neither DICOM'),  # starts like a bitmap
        (b'%PDF-1.4', 'PDF'),
        (b'version https://git-lfs.github.com/spec/v1', 'LFS'),
    ],
    ids=lambda value: value if isinstance(value, str) else 'file',
)  # archives contain the time, which test names must not
def test_other_file_types_are_named(tmp_path, content, reason):
    (tmp_path / 'x.png').write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        kind_of(tmp_path / 'x.png')


def bare(data, implicit: bool = False, big: bool = False, meta: bool = False) -> bytes:
    """A DICOM file without preamble and prefix, with or without group 2."""
    from pydicom import uid

    data.file_meta.TransferSyntaxUID = (
        uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRBigEndian if big else uid.ExplicitVRLittleEndian
    )
    content = io.BytesIO()
    data.save_as(content, enforce_file_format=True)
    content = content.getvalue()[132:]
    return content if meta else content[12 + int.from_bytes(content[8:12], 'little') :]


@pytest.mark.parametrize('name', ['IM0000', 'im.dcm', 'im.ima', '1.2.840.1'])
@pytest.mark.parametrize(
    'form',
    [dict(), dict(implicit=True), dict(big=True), dict(meta=True), dict(implicit=True, meta=True)],
    ids=lambda form: '+'.join(form) or 'explicit',
)
@pytest.mark.parametrize('first', ['ImageType', 'SpecificCharacterSet', 'SOPClassUID'])
def test_dicom_without_preamble_is_recognised_and_read(tmp_path, name, form, first):
    pytest.importorskip('pydicom')
    from mmaffinity.scans import Problem, find_scans

    data = dicom_slice(chest().astype('<i2'), SpecificCharacterSet='ISO_IR 100')
    if form.get('big'):
        data.PixelData = chest().astype('>i2').tobytes()
    for keyword in ('SpecificCharacterSet', 'ImageType', 'SOPClassUID'):
        if keyword == first:
            break
        delattr(data, keyword)
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / name).write_bytes(bare(data, **form))
    assert kind_of(tmp_path / 'in' / name) == 'dicom'
    (scan,) = find_scans(tmp_path / 'in')
    assert not isinstance(scan, Problem), scan
    (item,) = scan.read()
    assert not isinstance(item, Problem), item
    assert item.grey.min() == 60 and item.grey.max() == 255


@pytest.mark.parametrize(
    'content',
    [
        b'\x08\0',
        b'\x08\0\x08\0\xff\xff\xff\x7f' + bytes(600),
        b'\x08\0\x05\0XX\x08\0' + bytes(40),
        b'\x08\0\xff\xffCS' + bytes(40),
        b'\x02\0\0\0\4\0\0\0' + b'\xff' * 40,
    ],
)
def test_files_that_merely_start_like_dicom_are_rejected(tmp_path, content):
    (tmp_path / 'x').write_bytes(content)
    with pytest.raises(ValueError, match='neither DICOM'):
        kind_of(tmp_path / 'x')


@pytest.mark.parametrize(
    'name, content',
    [
        ('.DS_Store', b'\0\0\0\1Bud1'),
        ('Thumbs.db', b'\xd0\xcf\x11\xe0'),
        ('thumbs.DB', b'x'),
        ('desktop.ini', b'[x]'),
        ('._im0.dcm', b'\0\5\x16\7\0\2'),
        ('._x.png', b''),
        ('ehthumbs.db', b'x'),
        ('.localized', b''),
        ('Icon\r', b''),
    ],
)
def test_clutter(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert is_clutter(tmp_path / name)


@pytest.mark.parametrize('name, content', [('._x.png', b'\x89PNG\r\n'), ('im.dcm', b''), ('x.db', b''), ('DS_Store', b'')])
def test_possible_slices_are_not_clutter(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert not is_clutter(tmp_path / name)


def test_a_slice_with_the_name_of_clutter_is_a_slice(tmp_path):
    pytest.importorskip('pydicom')
    path = save_dicom(tmp_path / '._im0.dcm', dicom_slice(chest().astype('int16')))
    assert kind_of(path) == 'dicom'


def test_gzip_bomb_is_not_unpacked(tmp_path):
    tracemalloc = pytest.importorskip('tracemalloc')
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode='wb') as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    (tmp_path / 'bomb.nii.gz').write_bytes(packed.getvalue())
    tracemalloc.start()
    with pytest.raises(ValueError, match='not NIfTI'):
        kind_of(tmp_path / 'bomb.nii.gz')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / 'real').write_bytes(b'abc')
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    (tmp_path / 'endless').symlink_to('/dev/zero')
    os.mkfifo(tmp_path / 'pipe')
    assert read_regular(tmp_path / 'real') == b'abc'
    for name in ('link', 'endless', 'pipe', 'absent'):
        with pytest.raises(ValueError, match='cannot be opened|not a regular'):
            read_regular(tmp_path / name)
    with pytest.raises(ValueError, match='not a regular|cannot be opened'):
        open_regular(tmp_path)
    with pytest.raises(ValueError, match='3 bytes, above the limit of 2'):
        read_regular(tmp_path / 'real', 2)


def test_key_changes_with_the_file(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'1')
    before = file_key(path)
    path.write_bytes(b'12')
    assert file_key(path) != before


def test_printable_text(tmp_path):
    assert printable('a/\u00e4') == 'a/\u00e4'
    assert printable(os.fsdecode(b'a\xff')) == 'a\\xff'
    assert printable('a\nb\x1b[2J') == 'a\\nb\\x1b[2J'
    assert brief(ValueError('a\n  b')) == 'a b' and brief(KeyError('x')) == "KeyError: 'x'"
    assert brief(MemoryError()) == 'MemoryError' and len(brief(ValueError('x' * 999))) == 300


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=700), magic=st.sampled_from([b'', b'\x1f\x8b\x08', b'\xff\xd8\xff', b'PK\x03\x04']))
def test_any_bytes_are_classified_or_rejected(tmp_path, content, magic):
    path = tmp_path / 'any.dcm'
    path.write_bytes(magic + content)
    try:
        assert kind_of(path) in ('dicom', 'nifti', 'image')
    except ValueError as error:
        assert str(error)


def test_helper_files_have_their_types():
    assert chest_volume(2).shape[2] == 2 and chest_volume().dtype == np.int16


def test_pairs_of_header_and_voxels_are_named(tmp_path):
    nibabel = pytest.importorskip('nibabel')
    voxels, affine = np.full((4, 4, 4), -1000, np.int16), np.eye(4)
    for kind, words in ((nibabel.AnalyzeImage, 'is an Analyze header'), (nibabel.Nifti1Pair, '')):
        kind(voxels, affine).to_filename(str(tmp_path / 'v.img'))
        with pytest.raises(ValueError, match='voxels of a .hdr/.img pair'):
            kind_of(tmp_path / 'v.img')
        if words:
            with pytest.raises(ValueError, match=words):
                kind_of(tmp_path / 'v.hdr')
        else:
            assert kind_of(tmp_path / 'v.hdr') == 'nifti'


def test_reason_contains_no_traceback():
    error = OSError('With tag (0008,0103) got exception: No tag\nTraceback (most recent call last):\n  File "x"')
    assert brief(error) == 'OSError: With tag (0008,0103) got exception: No tag'
