"""Pixels in pages, decoded by the definition of the format."""

import base64
import zlib

import numpy as np
import pytest

from mmaffinity.visualization.pages.pixels import GREY_STEP, encode_pixels


def decode(block):
    planes = np.frombuffer(zlib.decompress(base64.b64decode(block.text)), np.uint8).reshape(2, -1).astype(int)
    values = np.zeros((block.height, block.width), dtype=int)
    for at, folded in enumerate(planes[0] + 256 * planes[1]):
        y, x = divmod(at, block.width)
        left, up = values[y, x - 1] if x else 0, values[y - 1, x] if y else 0
        guess = sorted((left, up, left + up - (values[y - 1, x - 1] if x and y else 0)))[1]
        values[y, x] = guess + (folded // 2 if folded % 2 == 0 else -(folded + 1) // 2)
    return values * block.step


@pytest.mark.parametrize(
    'values',
    [
        np.random.default_rng(0).integers(-1024, 3071, (13, 17)),
        np.array([[-1024, 30_000], [30_000, -1024]]),
        np.full((3, 5), -1000),
        np.random.default_rng(1).integers(0, 256, (9, 8)).astype(np.uint8),
    ],
)
def test_integers_round_trip_exactly(values):
    block = encode_pixels(values, 10**6)
    assert block.step == 1 and np.array_equal(decode(block), values)


def test_grey_levels_of_16_bits_keep_a_64th():
    grey = np.random.default_rng(0).uniform(0, 255, (9, 8)).astype(np.float32)
    block = encode_pixels(grey, 10**6)
    assert block.step == GREY_STEP and np.abs(decode(block) - grey).max() <= GREY_STEP / 2


def test_noise_is_rounded_as_far_as_the_size_requires():
    noise = np.random.default_rng(0).normal(0, 30, (64, 64))
    sizes = {}
    for most in (10**6, 3000, 2000):
        block = encode_pixels(noise, most)
        sizes[block.step] = len(base64.b64decode(block.text))
        assert sizes[block.step] <= most and np.abs(decode(block) - noise).max() <= block.step / 2
    assert len(sizes) == 3 and min(sizes) == 1


def test_values_above_the_maximum_are_clipped():
    assert decode(encode_pixels(np.array([[1e9, 0.0]]), 10**6)).tolist() == [[30_000, 0]]
