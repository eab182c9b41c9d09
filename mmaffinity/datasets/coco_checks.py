"""Validation of COCO entries, so that errors name their row instead of surfacing in the mask decoder.

pycocotools decodes in C, where negative or oversized run lengths, sizes and coordinates cause errors without a location, or
allocate gigabytes of memory.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmaffinity.utils.decoding import MAX_PIXELS

from .mask_extent import MaskExtent, are_numbers, mask_extent

COUNTING = 2.0  # pixels by which boxes differ between tools that count from 0 or 1, with or without the last pixel


def read_image(image: dict) -> dict:
    """Return an entry of ``images`` with whole numbers as integers; some tools write 512.0.

    Raises:
        ValueError: if a value is invalid; the caller prefixes the message with the entry's location.
    """
    if not isinstance(image['file_name'], str) or not image['file_name']:
        raise ValueError(f'has the file_name {_short(image["file_name"])}, which must be a non-empty string')
    width, height = whole(image['width']), whole(image['height'])
    if width is None or height is None or width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(
            f'has width {_short(image["width"])} and height {_short(image["height"])}, which must be whole numbers of '
            f'pixels, at least 1, with a product of at most {MAX_PIXELS}'
        )
    return {**image, 'id': read_reference(image['id'], 'id'), 'width': width, 'height': height}


def read_annotation(annotation: dict, image: dict) -> dict:
    """Return an entry of ``annotations`` with the area of its mask and a box.

    The mask takes precedence, because tools omit ``area``, write 0, or write the area of the box. A box that is absent, thinner
    than a pixel, or on the slice but far from its mask (many tools write two corners) is replaced by that of the mask.

    Args:
        annotation: the entry with parsed references.
        image: its image, from :func:`read_image`.

    Raises:
        ValueError: as for :func:`read_image`.
    """
    for key in ('iscrowd', 'ignore'):
        if annotation.get(key) not in (None, 0, 1):
            raise ValueError(f'has {key} {_short(annotation[key])}, which must be 0 or 1')
    box = annotation.get('bbox')
    if box is not None and not (are_numbers(box) and len(box) == 4):
        raise ValueError(f'has the bbox {_short(box)}, which must be four finite numbers: x, y, width, height')
    mask, extent = _read_mask(annotation.get('segmentation'), image['height'], image['width'])
    if box is None or min(box[2:]) < 1 or (extent.area and _overlaps(box, image) and _is_far(box, extent.box)):
        box = list(extent.box)
    return {**annotation, 'segmentation': mask, 'area': extent.area, 'bbox': box}


def is_used(annotation: dict, image: dict) -> bool:
    """Return whether MMDetection uses a lesion: not flagged ``ignore``, area above 0, box at least a pixel wide, on the slice.

    Args:
        annotation, image: from :func:`read_annotation` and :func:`read_image`.
    """
    return bool(
        not annotation.get('ignore')
        and annotation['area'] > 0
        and min(annotation['bbox'][2:]) >= 1
        and _overlaps(annotation['bbox'], image)
    )


def read_reference(value: Any, name: str) -> int | str:
    """Return an ID or a reference to one.

    Raises:
        ValueError: if it is neither an integer nor a string.
    """
    number = value if isinstance(value, str) else whole(value)
    if number is None:
        raise ValueError(f'has the {name} {_short(value)}, which must be an integer or a string')
    return number


def whole(value: Any) -> int | None:
    """Return a whole number as an integer; None for anything else."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def with_whole_numbers(mask: Any) -> Any:
    """Return run lengths with size and counts as integers if they are whole numbers; anything else unchanged."""
    if not isinstance(mask, dict):
        return mask
    lists = {key: mask[key] for key in ('size', 'counts') if isinstance(mask.get(key), list)}
    numbers = {key: [whole(value) for value in values] for key, values in lists.items()}
    return {**mask, **{key: values for key, values in numbers.items() if None not in values}}


def _read_mask(mask: Any, height: int, width: int) -> tuple[Any, MaskExtent]:
    mask = with_whole_numbers(mask)
    if isinstance(mask, dict) and mask.get('size') not in (None, [height, width]):
        raise ValueError(
            f'has a segmentation of size {_short(mask["size"])}, but the image is [{height}, {width}] (height, width)'
        )
    try:
        extent = mask_extent(mask)
    except ValueError as error:
        raise ValueError(f'has a segmentation that cannot be used: {error}: {_short(mask)}') from None
    left, top, box_width, box_height = extent.box
    if max(-left, -top, left + box_width, top + box_height) > 100 * max(height, width):
        raise ValueError(f'has a segmentation far outside the image: {_short(mask)}')
    return mask, extent


def _overlaps(box: Sequence[float], image: dict) -> bool:
    x, y, w, h = box
    return min(x + w, image['width']) > max(x, 0) and min(y + h, image['height']) > max(y, 0)


def _is_far(box: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether the IoU of two boxes (x, y, width, height) is below 0.5, apart from differences in pixel counting."""
    if all(abs(one - two) <= COUNTING for one, two in zip(box, other)):
        return False
    return float(coco_mask.iou(np.array([box], np.float64), np.array([other], np.float64), [0])[0, 0]) < 0.5


def _short(value: Any) -> str:
    return ascii(value)[:80]
