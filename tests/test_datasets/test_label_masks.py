"""Masks of any labels; those of CNCB-NCOV are tested with their converter."""

import re

import numpy as np
import pytest
from PIL import Image

from mmaffinity.datasets.label_masks import read_label_mask

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
