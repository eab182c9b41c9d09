"""JPEG Lossless, against an encoder that the tests have themselves."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_helpers import chest, jpeg_lossless

from mmaffinity.scans.jpeg_lossless import decode_jpeg_lossless

NOISE = np.random.default_rng(0).integers(0, 1 << 16, (12, 9))
STREAM = jpeg_lossless(chest(size=32).astype(int) + 1024)


@pytest.mark.parametrize('bits', [2, 12, 16])
@pytest.mark.parametrize('predictor', range(1, 8))
@pytest.mark.parametrize('options', [{}, {'restart': 5}, {'point': 1}])
def test_gives_back_what_was_stored(bits, predictor, options):
    pixels = NOISE % (1 << bits)
    found = decode_jpeg_lossless(jpeg_lossless(pixels, bits, predictor, **options), pixels.shape)
    point = options.get('point', 0)
    assert np.array_equal(found, pixels >> point << point)


def test_a_difference_of_half_the_range_and_signed_values():
    pixels = np.array([[0, 32768, 0, 65535, 32767]] * 2)
    assert np.array_equal(decode_jpeg_lossless(jpeg_lossless(pixels), pixels.shape), pixels)
    assert decode_jpeg_lossless(jpeg_lossless(pixels), pixels.shape, signed=True)[0].tolist() == [0, -32768, 0, -1, 32767]
    assert decode_jpeg_lossless(jpeg_lossless(pixels % 4096, 12), pixels.shape, signed=True)[0].tolist() == [0, 0, 0, -1, -1]


@pytest.mark.parametrize('content, reason', [
    (STREAM[1:], 'first marker'), (STREAM[:100], 'truncated'), (STREAM[:20], 'cut off'), (b'\xff\xd8', 'ends before'),
    (STREAM.replace(b'\xff\xc3', b'\xff\xc0'), r'another process than lossless \(marker 0xc0\)'),
    (STREAM.replace(b'\xff\xc3\0\x0b\x10\0\x20', b'\xff\xc3\0\x0b\x10\xff\xff'), '65535 x 32 pixels'),
    (STREAM.replace(b'\xff\xc3\0\x0b\x10', b'\xff\xc3\0\x0b\x11'), '17 bits'),
    (STREAM.replace(b'\xff\xc4', b'\xff\xfe'), 'without a frame, a table'),
    (STREAM.replace(bytes(range(17)), bytes(range(1, 18))), 'damaged Huffman table'),
    (STREAM.replace(b'\xff\xda\0\x08\1\1\0\1', b'\xff\xda\0\x08\1\1\0\x09'), 'predictor'),
    (STREAM[:STREAM.index(b'\xff\xda') + 10] + b'\xfe' * 3000, 'no code')])
def test_damage_has_a_reason(content, reason):
    with pytest.raises(ValueError, match=reason):
        decode_jpeg_lossless(content, (32, 32))


def test_more_codes_than_there_are_bits_are_refused():
    codes = b'\xff\xc4' + (19 + 3).to_bytes(2, 'big') + bytes([0, 3, *[0] * 15]) + bytes(3)
    with pytest.raises(ValueError, match='damaged Huffman table'):
        decode_jpeg_lossless(b'\xff\xd8' + codes + STREAM[2:], (32, 32))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(STREAM) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(STREAM)))
def test_any_damage_gives_pixels_or_a_reason(changes, cut):
    content = bytearray(STREAM)
    for place, value in changes:
        content[place] = value
    try:
        assert decode_jpeg_lossless(bytes(content[:len(STREAM) - cut // 8]), (32, 32)).shape == (32, 32)
    except ValueError as error:
        assert str(error)
