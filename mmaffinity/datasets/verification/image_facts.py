"""Facts about a file for verification, read once and cached."""

import base64
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from mmaffinity.utils.decoding import decode_slice

from ..label_masks import read_lesion_mask

SLICE, MASK = 'slice', 'mask'
THUMB_SIDE = 16
_DCT_SIDE, _HASH_SIDE = 32, 8


class FileFacts(NamedTuple):
    """Facts about a slice or a raw mask.

    Attributes:
        error: why the file cannot be used; None if it can.
        missing: whether the file does not exist.
        num_bytes: size of the file in bytes; None if it could not be read.
        sha256: SHA-256 of the file's bytes.
        pixels: SHA-256 of the decoded pixels, their type and shape.
        width, height: size in pixels.
        depth: bits per pixel, 8 or 16.
        low, high: smallest and largest pixel value as stored in the file.
        hash: 64-bit perceptual hash, see :func:`perceptual_hash`; None for a blank image.
        thumb: thumbnail of 16 x 16 bytes, scaled to 0..255; None for a blank image.
        foreign: whether the file is a readable image but not a valid mask, mostly because of values other than 0 to 3.
    """

    error: str | None = None
    missing: bool = False
    num_bytes: int | None = None
    sha256: str = ''
    pixels: str = ''
    width: int = 0
    height: int = 0
    depth: int = 0
    low: int = 0
    high: int = 0
    hash: int | None = None
    thumb: bytes | None = None
    foreign: bool = False

    def to_row(self) -> list[Any]:
        """Return the facts in JSON form."""
        row = list(self)
        if self.thumb is not None:
            row[self._fields.index('thumb')] = base64.b85encode(self.thumb).decode('ascii')
        return row

    @classmethod
    def from_row(cls, row: list[Any]) -> 'FileFacts':
        """Restore facts from :meth:`to_row`.

        Raises:
            ValueError: if the row is invalid.
        """
        if not isinstance(row, list) or len(row) != len(cls._fields):
            raise ValueError('not a row of facts')
        facts = cls(*row)
        return facts if facts.thumb is None else facts._replace(thumb=base64.b85decode(row[cls._fields.index('thumb')]))


def read_facts(kind: str, path: str) -> FileFacts:
    """Read a file; problems are recorded in the facts, not raised.

    Args:
        kind: 'slice' or 'mask'.
        path: path of the file.
    """
    try:
        content = Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return FileFacts(error='does not exist', missing=True)
    except OSError as error:
        return FileFacts(error=f'cannot be read: {error.strerror or error}')
    try:
        facts = _mask_facts(path) if kind == MASK else _slice_facts(content)
    except ValueError as error:
        facts = FileFacts(error=str(error))
    return facts._replace(num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def perceptual_hash(small: np.ndarray) -> int:
    """Hash an image by which of its coarse cosine coefficients exceed their median.

    Recoding, scaling, and changes of brightness or contrast flip few of the 64 bits; another patient's chest flips about 30.
    The hash uses the lowest 8 x 8 coefficients without the constant one, and one more.

    Args:
        small: the image at 32 x 32, float32.

    Returns:
        The hash, 0 to 2^64 - 1.
    """
    coefficients = cv2.dct(small)
    low = np.append(coefficients[:_HASH_SIDE, :_HASH_SIDE].ravel()[1:], coefficients[_HASH_SIDE, 0])
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), 'big')


def _slice_facts(content: bytes) -> FileFacts:
    # An explicit max_value avoids the warning about dark slices, which are a separate finding.
    img = decode_slice(content, max_value=65535)
    digest = hashlib.sha256(f'{img.dtype} {img.shape}'.encode())
    digest.update(np.ascontiguousarray(img).data)
    low, high = float(img.min()), float(img.max())
    depth = 8 if img.dtype == np.uint8 else 16
    scale = 1 if depth == 8 else 65535 / 255
    hashed, thumb = None, None
    if high > low:
        small = cv2.resize(img, (_DCT_SIDE, _DCT_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        hashed = perceptual_hash(small)
        # The means of 2 x 2 cells of the 32 x 32 image are the image at 16 x 16.
        coarse = small.reshape(THUMB_SIDE, 2, THUMB_SIDE, 2).mean((1, 3))
        spread = float(coarse.max() - coarse.min())
        if spread > 0:
            thumb = np.round((coarse - coarse.min()) * (255 / spread)).astype(np.uint8).tobytes()
    return FileFacts(
        pixels=digest.hexdigest(),
        width=img.shape[1],
        height=img.shape[0],
        depth=depth,
        low=round(low * scale),
        high=round(high * scale),
        hash=hashed if thumb else None,
        thumb=thumb,
    )


def _mask_facts(path: str) -> FileFacts:
    try:
        values = read_lesion_mask(Path(path))
    except ValueError as error:
        try:
            with Image.open(path) as image:
                image.load()
        except (OSError, SyntaxError, ValueError):
            return FileFacts(error=str(error))
        return FileFacts(error=str(error), foreign=True)  # the image can be read, so its values are the problem
    return FileFacts(
        width=values.shape[1], height=values.shape[0], depth=8, low=int(values.min(initial=0)), high=int(values.max(initial=0))
    )
