import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from mmaffinity.utils.decoding import array_to_color, decode_color, decode_slice, read_slice, to_grey_levels

RGB = np.random.RandomState(0).randint(0, 256, (40, 56, 3)).astype(np.uint8)
GREY = RGB[..., 0]
GREY16 = np.random.RandomState(1).randint(0, 65536, (40, 56)).astype(np.uint16)


def encode(image, fmt: str, **options) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def write(folder, content: bytes, name: str = 'slice.png') -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


EIGHT_BIT = {
    'png_grey': (GREY, 'PNG', {}),
    'png_rgb': (RGB, 'PNG', {}),
    'png_rgba': (np.dstack([RGB, GREY]), 'PNG', {}),
    'png_grey_alpha': (Image.fromarray(RGB).convert('LA'), 'PNG', {}),
    'png_palette': (Image.fromarray(RGB).convert('P'), 'PNG', {}),
    'png_palette_transparent': (Image.fromarray(RGB).convert('P'), 'PNG', dict(transparency=0)),
    'png_palette_2_bit': (Image.fromarray(RGB).quantize(4), 'PNG', dict(bits=2)),
    'png_1_bit': (Image.fromarray(GREY).convert('1'), 'PNG', {}),
    'jpeg_grey': (GREY, 'JPEG', {}),
    'jpeg_rgb': (RGB, 'JPEG', {}),
    'jpeg_progressive': (RGB, 'JPEG', dict(progressive=True)),
    'jpeg_no_subsampling': (RGB, 'JPEG', dict(subsampling=0, quality=97)),
    'jpeg_cmyk': (Image.fromarray(RGB).convert('CMYK'), 'JPEG', {}),
    'tiff_grey': (GREY, 'TIFF', {}),
    'tiff_lzw_rgb': (RGB, 'TIFF', dict(compression='tiff_lzw')),
    'bmp_grey': (GREY, 'BMP', {}),
    'bmp_rgb': (RGB, 'BMP', {}),
    'pgm': (GREY, 'PPM', {}),
    'webp': (RGB, 'WEBP', dict(lossless=True)),
}


@pytest.mark.parametrize('kind', EIGHT_BIT)
def test_8_bit_files_equal_opencv(tmp_path, kind):
    image, fmt, options = EIGHT_BIT[kind]
    path = write(tmp_path, encode(image, fmt, **options), 'slice.dat')
    img = read_slice(path)
    assert img.shape == (40, 56) and img.dtype == np.uint8
    np.testing.assert_array_equal(img, cv2.imread(path, cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize('kind', EIGHT_BIT)
def test_colour_equals_the_loader_of_mmdetection(tmp_path, kind):
    image, fmt, options = EIGHT_BIT[kind]
    path = write(tmp_path, encode(image, fmt, **options), 'image.dat')
    img = decode_color(Path(path).read_bytes())
    assert img.shape == (40, 56, 3) and img.dtype == np.uint8
    np.testing.assert_array_equal(img, LoadImageFromFile()(dict(img_path=path))['img'])


def test_colour_is_checked_like_grey_levels():
    for content, words in ((b'', 'is empty'), (encode(RGB, 'PNG')[:-30], 'truncated PNG'), (b'GIF89a', 'is not an image')):
        with pytest.raises(ValueError, match=words):
            decode_color(content)
    with pytest.raises(ValueError, match='more than max_pixels=2000'):
        decode_color(encode(RGB, 'JPEG'), max_pixels=2000)


def test_colour_arrays():
    bgra = np.dstack([RGB, GREY])
    for array in (RGB, bgra, bgra[..., :3][::-1][::-1]):
        np.testing.assert_array_equal(array_to_color(array), RGB)
    for array in (GREY, GREY[..., None]):
        np.testing.assert_array_equal(array_to_color(array), np.dstack([GREY] * 3))
    for array, words in (
        (RGB.astype(float), 'must be a NumPy array of uint8, not float64'),
        ([[1]], 'not list'),
        (RGB[..., :2], r'an array of shape \(40, 56, 2\) is not an image'),
        (RGB[:0], 'is not an image'),
    ):
        with pytest.raises(ValueError, match=words):
            array_to_color(array)


def test_grey_pixels_are_lossless(tmp_path):
    """The lossless cases against the pixels that were written, not against a second reader."""
    for fmt in ('PNG', 'TIFF', 'BMP', 'PPM'):
        np.testing.assert_array_equal(decode_slice(encode(GREY, fmt)), GREY)
    grey_as_rgb = np.dstack([GREY] * 3)
    np.testing.assert_array_equal(decode_slice(encode(grey_as_rgb, 'PNG')), GREY)
    np.testing.assert_array_equal(decode_slice(encode(np.dstack([grey_as_rgb, RGB[..., 1]]), 'PNG')), GREY)
    black_white = GREY > 127
    img = decode_slice(encode(Image.fromarray(black_white), 'PNG'))
    np.testing.assert_array_equal(img, black_white * np.uint8(255))


def test_colour_weights():
    """ITU-R BT.601 luma, truncated by libpng's fixed-point arithmetic."""
    luma = RGB.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(decode_slice(encode(RGB, 'PNG')) - luma).max() < 1.01


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = write(tmp_path, encode(GREY, 'JPEG', exif=exif, quality=100))
    img = read_slice(path)
    assert img.shape == (56, 40)
    np.testing.assert_array_equal(img, cv2.imread(path, cv2.IMREAD_GRAYSCALE))
    np.testing.assert_array_equal(img, np.rot90(decode_slice(encode(GREY, 'JPEG', quality=100)), -1))


@pytest.mark.parametrize('fmt', ['PNG', 'TIFF'])
def test_16_bit(fmt):
    content = encode(GREY16, fmt)
    img = decode_slice(content)
    assert img.dtype == np.float32
    np.testing.assert_allclose(img, GREY16 / 65535 * 255, rtol=1e-6)
    assert decode_slice(encode(np.full((4, 4), 65535, np.uint16), fmt)).max() == 255


def test_16_bit_colour():
    colour = np.random.RandomState(2).randint(0, 65536, (20, 30, 3)).astype(np.uint16)
    content = cv2.imencode('.png', colour)[1].tobytes()
    luma = colour.astype(np.float64) @ [0.114, 0.587, 0.299] / 257
    np.testing.assert_allclose(decode_slice(content), luma, atol=0.02)


def test_12_bit_content_in_16_bit_file():
    twelve_bit = GREY16 >> 4
    twelve_bit[0, 0] = 4095
    img = decode_slice(encode(twelve_bit, 'PNG'), max_value=4095)
    np.testing.assert_allclose(img, twelve_bit / 4095 * 255, rtol=1e-6)
    assert img.max() == 255
    with pytest.warns(UserWarning, match='max_value=4095'):
        decode_slice(encode(twelve_bit, 'PNG'))
    with pytest.raises(ValueError, match='above max_value=4095'):
        decode_slice(encode(GREY16, 'PNG'), max_value=4095)
    np.testing.assert_array_equal(decode_slice(encode(GREY, 'PNG'), max_value=4095), GREY)


@pytest.mark.parametrize('peak, dark', [(1, True), (1023, True), (5000, True), (49151, True), (49152, False), (65535, False)])
@pytest.mark.parametrize('fmt', ['PNG', 'TIFF'])
def test_16_bits_far_below_white_are_warned_of(recwarn, peak, dark, fmt):
    pixels = np.zeros((8, 8), np.uint16)
    pixels[3, 4] = peak
    decode_slice(encode(pixels, fmt))
    assert [f'brightest pixel is {peak} of 65535' in str(warning.message) for warning in recwarn] == [True] * dark


@pytest.mark.parametrize('dtype', [np.int16, np.int32, np.float32])
def test_other_pixel_types(dtype):
    content = cv2.imencode('.tiff', GREY.astype(dtype))[1].tobytes()
    with pytest.raises(ValueError, match=f'{np.dtype(dtype)} pixels'):
        decode_slice(content)
    with pytest.raises(ValueError, match='int64 pixels'):
        to_grey_levels(np.zeros((2, 2), np.int64))


WHOLE = {
    'png': encode(RGB, 'PNG'),
    'png16': encode(GREY16, 'PNG'),
    'jpeg': encode(RGB, 'JPEG'),
    'jpeg_progressive': encode(RGB, 'JPEG', progressive=True),
    'jpeg_thumbnail': b'\xff\xd8\xff\xe1\x00\x08\xff\xd8\xff\xd9\x00\x00' + encode(RGB, 'JPEG')[2:],
    'jpeg_restarts': cv2.imencode('.jpg', RGB, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes(),
    'tiff': encode(GREY, 'TIFF'),
    'bmp': encode(GREY, 'BMP'),
}


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_tiff_in_which_zero_is_white(dtype):
    """OpenCV inverts one and not the other."""
    stored = GREY.astype(dtype) * (257 if dtype == np.uint16 else 1)
    content = cv2.imencode('.tiff', stored)[1].tobytes()
    black_is_zero, white_is_zero = (struct.pack('<HHIHH', 262, 3, 1, value, 0) for value in (1, 0))
    assert content.count(black_is_zero) == 1
    np.testing.assert_allclose(decode_slice(content), GREY, atol=1e-3)
    np.testing.assert_allclose(decode_slice(content.replace(black_is_zero, white_is_zero)), 255.0 - GREY, atol=1e-3)


@pytest.mark.parametrize('kind', WHOLE)
def test_truncated(tmp_path, kind):
    content = WHOLE[kind]
    whole = decode_slice(content)
    lengths = {3, 9, 20, 40, *range(60, len(content), 97), len(content) - 1}
    for length in lengths:
        with pytest.raises(ValueError):
            decode_slice(content[:length])
        if not kind.startswith(('tiff', 'bmp')):  # there, zeros are black pixels
            with pytest.raises(ValueError):  # the space is reserved, the rest never written
                decode_slice(content[: length - 1] + bytes(len(content) - length + 1))
    np.testing.assert_array_equal(decode_slice(content + b'appended by some exporter'), whole)
    with pytest.raises(ValueError, match=r'half\.x is .*truncated'):
        read_slice(write(tmp_path, content[: len(content) // 2], 'half.x'))


def test_damaged_png():
    content = bytearray(WHOLE['png'])
    content[len(content) // 2] ^= 1
    with pytest.raises(ValueError, match='checksum'):
        decode_slice(bytes(content))


def test_foreign(tmp_path):
    cases = {
        b'patient,label\n1,0\n': "starts with b'patient,labe",
        bytes(128) + b'DICM' + bytes(200): 'DICOM',
        b'\x1f\x8b\x08\x00' + bytes(50): 'gzip',
        b'PK\x03\x04' + bytes(50): 'zip archive',
        b'\n<!DOCTYPE html><html>404</html>': 'web page',
        b'version https://git-lfs.github.com/spec/v1\n': 'git lfs pull',
        bytes(500): 'it consists of 500 zero bytes',
        b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n': 'not an image',
    }
    for content, match in cases.items():
        with pytest.raises(ValueError, match=match) as error:
            read_slice(write(tmp_path, content, 'foreign.png'))
        assert 'foreign.png is not an image' in str(error.value)
    with pytest.raises(ValueError, match='empty.png is empty'):
        read_slice(write(tmp_path, b'', 'empty.png'))
    with pytest.raises(FileNotFoundError, match='nowhere.png'):
        read_slice(tmp_path / 'nowhere.png')
    with pytest.raises(ValueError, match='cannot be read'):
        read_slice(tmp_path)


def test_several_pages():
    pages = [Image.fromarray(GREY), Image.fromarray(RGB[..., 1])]
    with pytest.raises(ValueError, match='has 2 pages'):
        decode_slice(encode(pages[0], 'TIFF', save_all=True, append_images=pages[1:]))


@pytest.mark.parametrize('fmt', ['PNG', 'JPEG', 'TIFF', 'BMP'])
def test_size_limit(fmt):
    content = encode(GREY, fmt)
    with pytest.raises(ValueError, match='56 x 40 = 2240 pixels, more than max_pixels=2239'):
        decode_slice(content, max_pixels=2239)
    assert decode_slice(content, max_pixels=2240).shape == (40, 56)


def test_bomb_costs_nothing(monkeypatch):
    """10000 x 10000 black pixels fit in a few kilobytes; the file is rejected by its header, before decoding."""
    content = encode(Image.new('1', (10000, 10000)), 'PNG')
    tiff = encode(Image.new('1', (10000, 10000)), 'TIFF', compression='group4')
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    monkeypatch.setattr(TiffImageFile, 'load', lambda *_: pytest.fail('decoded'))
    for bomb in (content, tiff):
        with pytest.raises(ValueError, match='10000 x 10000'):
            decode_slice(bomb)
    bomb = encode(Image.new('1', (15000, 15000)), 'TIFF', compression='group4')  # beyond Pillow's own limit
    with pytest.raises(ValueError, match='more pixels than max_pixels'):
        decode_slice(bomb)


def test_real_slices(shared_dir):
    data = shared_dir / 'data'
    paths = [*data.glob('ct_slices/*/*'), *data.glob('ct_scan/*')]
    assert len(paths) == 80
    for path in paths:
        img = read_slice(path)
        assert img.ndim == 2 and img.dtype == np.uint8
        np.testing.assert_array_equal(img, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


def test_real_slices_truncated(shared_dir):
    for path in sorted((shared_dir / 'data' / 'ct_slices').glob('*/*')):
        content = path.read_bytes()
        for share in (0.01, 0.5, 0.97):
            with pytest.raises(ValueError):
                decode_slice(content[: int(share * len(content))])
