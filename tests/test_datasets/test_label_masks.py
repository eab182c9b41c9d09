"""Masks of any labels; those of CNCB-NCOV are tested with their converter."""

import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmaffinity.datasets.label_masks import read_label_mask, read_lesion_mask

LABELS = np.arange(12, dtype=np.uint8).reshape(3, 4) * 21


@pytest.mark.parametrize(
    'name, image',
    [
        ('grey.png', Image.fromarray(LABELS)),
        ('16 bit.png', Image.fromarray(LABELS.astype(np.uint16))),
        ('colour.png', Image.fromarray(np.stack([LABELS] * 3, -1))),
        ('opacity.png', Image.fromarray(np.stack([LABELS] * 3 + [LABELS * 0 + 255], -1))),
        ('float.tif', Image.fromarray(LABELS.astype(np.float32))),
        ('grey.bmp', Image.fromarray(LABELS)),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_labels_are_the_pixel_values(tmp_path, name, image):
    image.save(tmp_path / name)
    assert np.array_equal(read_label_mask(tmp_path / name), LABELS)


def test_palette_and_one_bit_images(tmp_path):
    image = Image.fromarray(LABELS)
    image.putpalette([9, 9, 9] * 256)  # the colours do not matter
    image.save(tmp_path / 'palette.png')
    assert np.array_equal(read_label_mask(tmp_path / 'palette.png'), LABELS)
    Image.fromarray(LABELS > 100).save(tmp_path / 'bit.png')
    bits = read_label_mask(tmp_path / 'bit.png')
    assert bits.dtype == np.uint8 and np.array_equal(bits, LABELS > 100)


def packed(labels, bits):
    """Return rows with 1 to 8 bits per pixel."""
    return [np.packbits(row).tobytes() for row in np.unpackbits(labels[..., None], axis=2)[..., 8 - bits :]]


def write_png(path, labels, bits):
    """Write a gray PNG with 1 to 8 bits per pixel, which Pillow cannot."""

    def chunk(kind, content):
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))

    header = struct.pack('>IIBBBBB', labels.shape[1], labels.shape[0], bits, 0, 0, 0, 0)
    pixels = zlib.compress(b''.join(b'\0' + row for row in packed(labels, bits)))
    content = chunk(b'IHDR', header) + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + content)


def write_tiff(path, labels, bits, photometric=1):
    """Write a gray TIFF with 1 to 8 bits per pixel, which Pillow cannot."""
    pixels = b''.join(packed(labels, bits))
    height, width = labels.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 278: height, 279: len(pixels)}
    entries = b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack('<H', len(tags)) + entries + bytes(4)
    path.write_bytes(b'II*\0' + struct.pack('<I', 8 + len(pixels)) + pixels + directory)


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
@pytest.mark.parametrize('write', [write_png, write_tiff])
def test_few_bits_are_not_expanded(tmp_path, write, bits):
    labels = (np.arange(35).reshape(5, 7) % 2**bits).astype(np.uint8)
    write(tmp_path / 'mask', labels, bits)
    assert np.array_equal(read_label_mask(tmp_path / 'mask'), labels)


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_tiff_in_which_0_is_white_is_ambiguous(tmp_path, bits):
    write_tiff(tmp_path / 'mask.png', np.eye(5, dtype=np.uint8), bits, photometric=0)
    with pytest.raises(ValueError, match='mask.png is a TIFF in which 0 means white: export it again as PNG'):
        read_label_mask(tmp_path / 'mask.png')


@pytest.mark.parametrize('bits', [2, 4])
def test_few_bits_in_a_palette(tmp_path, bits):
    labels = (np.arange(35).reshape(5, 7) % 2**bits).astype(np.uint8)
    image = Image.fromarray(labels)
    image.putpalette([9, 9, 9] * 2**bits)
    image.save(tmp_path / 'mask.png', bits=bits)
    assert (tmp_path / 'mask.png').read_bytes()[24] == bits
    assert np.array_equal(read_label_mask(tmp_path / 'mask.png'), labels)


def test_lesions_of_two_bits(tmp_path):
    """CNCB-NCOV's four values fit into two bits."""
    labels = np.arange(4, dtype=np.uint8).reshape(2, 2)
    write_png(tmp_path / 'mask.png', labels, 2)
    assert np.array_equal(read_lesion_mask(tmp_path / 'mask.png'), labels)


@pytest.mark.parametrize(
    'name, image, words',
    [
        ('a.jpg', Image.fromarray(LABELS), 'is a JPEG, which alters labels at their borders'),
        ('a.png', Image.fromarray(np.stack([LABELS, LABELS, 255 - LABELS], -1)), 'has coloured pixels'),
        ('half.tif', Image.fromarray(LABELS.astype(np.float32) / 2), 'has fractional values'),
        ('nan.tif', Image.fromarray(np.full((2, 2), np.nan, np.float32)), 'has fractional values'),
        (
            'negative.tif',
            Image.fromarray(-LABELS.astype(np.int32)),
            'has the value -231: labels must be whole numbers of at least 0',
        ),
    ],
)
def test_images_without_labels_are_rejected(tmp_path, name, image, words):
    image.save(tmp_path / name)
    with pytest.raises(ValueError, match=f'{re.escape(str(tmp_path / name))} {words}'):
        read_label_mask(tmp_path / name)


def test_other_files_are_rejected(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match='a.png cannot be read .*save it again as PNG'):
        read_label_mask(tmp_path / 'a.png')
