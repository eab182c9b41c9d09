"""Pixels of slices as text in a page, as exact as the size of the page allows."""

import base64
import zlib
from typing import NamedTuple

import numpy as np

HIGHEST = 30_000.0  # largest stored value, so that differences of stored values fit into 16 bits
STEPS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
GREY_STEP = 1 / 64  # for fractional grey levels, as of 16-bit images


class PixelBlock(NamedTuple):
    """The pixels of one slice.

    Attributes:
        text: base64 of a zlib stream of prediction errors, see :func:`encode_pixels`.
        height, width: in pixels.
        step: quantisation step, in the unit of the slice; a value is step times the stored integer.
    """

    text: str
    height: int
    width: int
    step: float


def encode_pixels(values: np.ndarray, max_bytes: int) -> PixelBlock:
    """Encode a slice with the smallest step out of 1 (1/64 for fractional grey levels), 2, 4, ..., 32 that fits ``max_bytes``.

    Each stored integer is predicted from its left, upper and upper-left neighbours as in JPEG-LS (median edge detector, ITU-T
    T.87). The prediction errors are folded (0, -1, 1, -2, ... become 0, 1, 2, 3, ...), written as a plane of low bytes and a
    plane of high bytes, and compressed. Only noise resists compression, so larger steps are needed only if the noise spans
    several steps.

    Args:
        values: Hounsfield units of at least -1024, or 8-bit grey levels, finite, shape (H, W).
        max_bytes: largest number of compressed bytes; exceeded if even a step of 32 is not enough.
    """
    values = np.asarray(values).clip(max=HIGHEST)
    fine = values.min() >= 0 and values.max() <= 255 and bool((values != np.rint(values)).any())
    step = 1.0
    for step in (GREY_STEP, *STEPS) if fine else STEPS:
        packed = _pack(np.rint(values / step).astype(np.int32))
        if len(packed) <= max_bytes:
            break
    height, width = values.shape
    return PixelBlock(base64.b64encode(packed).decode('ascii'), height, width, step)


def _pack(stored: np.ndarray) -> bytes:
    left, up, corner = np.zeros((3, *stored.shape), dtype=np.int32)
    left[:, 1:], up[1:], corner[1:, 1:] = stored[:, :-1], stored[:-1], stored[:-1, :-1]
    errors = stored - np.clip(left + up - corner, np.minimum(left, up), np.maximum(left, up))
    folded = ((errors << 1) ^ (errors >> 31)).astype(np.uint16)
    planes = np.stack([folded & 255, folded >> 8]).astype(np.uint8)
    # Run lengths and Huffman codes only: longer matches do not occur in noise, and searching for them takes time.
    packer = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return packer.compress(planes.tobytes()) + packer.flush()
