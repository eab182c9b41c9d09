"""Checks of COCO entries, so that what is wrong in a file is said with its row, and not by the code that decodes masks.

pycocotools decodes in C: negative and oversized run lengths, sizes and coordinates end there in errors without a place, or
in gigabytes of memory.
"""
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .transforms.decoding import MAX_PIXELS


def check_image(image: dict) -> None:
    """Check an entry of ``images``.

    Raises:
        ValueError: with what is wrong, for a sentence that begins with the entry's place.
    """
    check_reference(image['id'], 'id')
    if not isinstance(image['file_name'], str) or not image['file_name']:
        raise ValueError(f'has the file_name {_short(image["file_name"])}, which is no text')
    width, height = image['width'], image['height']
    if type(width) is not int or type(height) is not int or width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f'has width {_short(width)} and height {_short(height)}; whole numbers of pixels are needed, from 1, '
                         f'and no more than {MAX_PIXELS} pixels in all')


def check_annotation(annotation: dict, image: dict) -> None:
    """Check an entry of ``annotations`` against its image, which :func:`check_image` has passed.

    Raises:
        ValueError: as :func:`check_image`.
    """
    if not _numbers(annotation['bbox']) or len(annotation['bbox']) != 4:
        raise ValueError(f'has the bbox {_short(annotation["bbox"])}; four finite numbers are needed: x, y, width, height')
    if not _numbers([annotation['area']]):
        raise ValueError(f'has the area {_short(annotation["area"])}, which is no finite number')
    for key in ('iscrowd', 'ignore'):
        if annotation.get(key) not in (None, 0, 1):
            raise ValueError(f'has {key} {_short(annotation[key])}, which must be 0 or 1')
    problem = _mask_problem(annotation.get('segmentation'), image['height'], image['width'])
    if problem:
        raise ValueError(f'has a segmentation {problem}')


def check_reference(value: Any, name: str) -> None:
    """Check an id, or what refers to one.

    Raises:
        ValueError: if it is neither a whole number nor text.
    """
    if type(value) not in (int, str):
        raise ValueError(f'has the {name} {_short(value)}; a whole number or text is needed')


def run_lengths(counts: str) -> np.ndarray:
    """Return the run lengths of a compressed RLE, as COCO defines it.

    Each number is written in digits of 5 bits, the lowest first, bit 6 says that more follow, and the last digit's bit 5 is
    the sign; from the fourth number on, the difference to the one before the last is written.

    Raises:
        ValueError: if the text is no such code.
    """
    try:
        digits = np.frombuffer(counts.encode('ascii'), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise ValueError('whose counts are no ASCII text') from None
    if not digits.size or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        raise ValueError('whose counts are cut or no run lengths')
    ends = np.flatnonzero(digits & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 8:  # 40 bits; no picture has so many pixels
        raise ValueError('whose counts are no run lengths')
    places = np.arange(digits.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & 31) << 5 * places, starts)
    numbers -= np.where(digits[ends] & 16, np.left_shift(1, 5 * lengths), 0)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers


def _mask_problem(mask: Any, height: int, width: int) -> str | None:
    if isinstance(mask, list):
        reach = 100 * max(height, width)
        if not mask or not all(_numbers(polygon) and len(polygon) % 2 == 0 and len(polygon) >= 6
                               and max(map(abs, polygon)) <= reach for polygon in mask):
            return 'that is no list of polygons [x, y, x, y, ...] of three points or more, near the picture'
        return None
    if not isinstance(mask, dict) or 'counts' not in mask or 'size' not in mask:
        return f'that is neither polygons nor RLE: {_short(mask)}'
    if mask['size'] != [height, width]:
        return f'of size {_short(mask["size"])}, but the image is [{height}, {width}] (height, width)'
    counts = mask['counts']
    if isinstance(counts, str):
        try:
            runs = run_lengths(counts)
        except ValueError as error:
            return str(error)
        good = bool((runs >= 0).all()) and int(runs.sum()) == height * width
    else:
        good = isinstance(counts, list) and all(type(count) is int and count >= 0 for count in counts) and \
            sum(counts) == height * width
    return None if good else f'whose run lengths do not add up to the {height * width} pixels of its image'


def _numbers(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str) and all(
        type(value) in (int, float) and abs(value) < 2**53 and math.isfinite(value) for value in values)


def _short(value: Any) -> str:
    return ascii(value)[:80]
