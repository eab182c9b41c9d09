"""Checks of annotated lesions against their pictures' sizes and for consistency."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmaffinity.utils.wording import first_few, plural

from ..annotation_file import LESIONS, load_annotation_file
from ..coco_checks import whole_list
from ..mask_extent import mask_extent, outline_extent
from .findings import Finding

_BORDER = 0.5  # pixels that rounding, or counting from pixel centres, may add
_SLACK = 1.0  # pixels between a box and that of its mask, which may be counted inclusively

_MESSAGES = {
    'broken-annotations': ('cannot be used', 'correct the annotations, or export the file again'),
    'lesions-outside': (
        '{leave} the picture',
        'box, mask and image do not belong together: correct the annotations, or restore the images that were annotated',
    ),
    'boxes-and-masks': ('{differ} from the mask', 'boxes train one head and masks another; make them agree'),
}


def check_lesions(files: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Check the annotations of lesion files, including slices that a data set omits.

    A data set silently drops boxes outside the picture and refuses a file at its first error, so the file itself is read. Files
    that are not COCO files are skipped, because their data sets report this.

    Args:
        files: the data sets that use each lesion file, by its path.
    """
    findings: list[Finding] = []
    for path, users in files.items():
        problems: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row, annotation, image in _annotations(path):
            place = f'annotations[{row}] of {image.get("file_name")}'
            try:
                problem_list = list(_check_lesion(annotation, image['width'], image['height']))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                problem_list = [('broken-annotations', f'{type(error).__name__}: {error}')]
            for check, problem in problem_list:
                problems[check].append((place, problem))
        for check, found in problems.items():
            what, remedy = _MESSAGES[check]
            one = len(found) == 1
            what = what.format(leave='leaves' if one else 'leave', differ='differs' if one else 'differ')
            noun = 'box' if check == 'boxes-and-masks' else 'lesion'
            examples = first_few([f'{place}: {problem}' for place, problem in found])
            findings.append(
                Finding(
                    check,
                    f'{plural(len(found), noun)} of {", ".join(users)} {what} ({examples}): {remedy}',
                    len(found),
                    [dict(lesion=place, problem=problem) for place, problem in found],
                )
            )
    return findings


def _annotations(path: str) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Yield row, annotation and image, as far as they can be identified."""
    try:
        content = load_annotation_file(path, None, LESIONS)
    except (OSError, ValueError):
        return
    by_id = {
        image['id']: image
        for image in _list(content, 'images')
        if isinstance(image, dict) and isinstance(image.get('id'), (int, str))
    }
    for row, annotation in enumerate(_list(content, 'annotations')):
        if isinstance(annotation, dict) and isinstance(annotation.get('image_id'), (int, str)):
            image = by_id.get(annotation['image_id'])
            if image is not None:
                yield row, annotation, image


def _list(content: dict[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    return value if isinstance(value, list) else []


def _check_lesion(annotation: dict[str, Any], width: int, height: int) -> Iterator[tuple[str, str]]:
    """Yield check and problem; ``width`` and ``height`` are the picture's, in pixels."""
    box = annotation.get('bbox')
    if box is not None:
        try:
            x, y, w, h = box = tuple(float(side) for side in box)
        except (TypeError, ValueError):
            yield 'broken-annotations', f'its box {box!r} is not [x, y, width, height]'
            return
        if not (w > 0 and h > 0):
            yield 'broken-annotations', f'its box is {w:g} wide and {h:g} high'
        if not (x >= -_BORDER and y >= -_BORDER and x + w <= width + _BORDER and y + h <= height + _BORDER):
            yield (
                'lesions-outside',
                f'its box reaches from ({x:g}, {y:g}) to ({x + w:g}, {y + h:g}) in a picture of {width} x {height}',
            )
    segmentation = annotation.get('segmentation')
    if isinstance(segmentation, dict):
        rle = {**segmentation, **{key: whole_list(segmentation.get(key)) for key in ('size', 'counts')}}
        yield from _check_mask(rle, box, annotation.get('area'), width, height)
    elif isinstance(segmentation, list) and segmentation:
        yield from _check_polygons(segmentation, box, width, height)
    else:
        yield 'broken-annotations', 'it has no mask'


def _check_mask(
    rle: dict[str, Any], box: tuple[float, ...] | None, area: Any, width: int, height: int
) -> Iterator[tuple[str, str]]:
    """Compare a mask with its picture, and with box and area, which are None if absent in the file."""
    try:
        extent = mask_extent(rle)
    except ValueError as error:
        yield 'broken-annotations', str(error)
        return
    if list(rle['size']) != [height, width]:
        yield 'lesions-outside', f'its mask is for a picture of {rle["size"][1]} x {rle["size"][0]}, not {width} x {height}'
    if not extent.area:
        yield 'broken-annotations', 'its mask is empty'
    elif box is not None and any(abs(one - other) > _SLACK for one, other in zip(box, extent.box)):
        yield 'boxes-and-masks', f'its box is {[round(side, 1) for side in box]}, that of its mask {list(extent.box)}'
    elif area is not None and not (isinstance(area, (int, float)) and abs(area - extent.area) <= 0.5):
        yield 'boxes-and-masks', f'its area is {area!r}, that of its mask {extent.area} pixels, which is used'


def _check_polygons(polygons: list[Any], box: tuple[float, ...] | None, width: int, height: int) -> Iterator[tuple[str, str]]:
    for polygon in polygons:
        if (
            not isinstance(polygon, list)
            or len(polygon) < 6
            or len(polygon) % 2
            or not all(isinstance(value, (int, float)) for value in polygon)
        ):
            yield 'broken-annotations', 'its outline is not a list of three or more points'
            return
    extent = outline_extent(polygons)
    if min(extent.box[2:]) < 1:
        yield 'broken-annotations', f'its outline is {extent.box[2]:g} wide and {extent.box[3]:g} high: coordinates are pixels'
    elif box is not None and any(abs(one - other) > _SLACK for one, other in zip(box, extent.box)):
        yield 'boxes-and-masks', f'its box is {[round(side, 1) for side in box]}, that of its mask {list(extent.box)}'
    xs = [value for polygon in polygons for value in polygon[::2]]
    ys = [value for polygon in polygons for value in polygon[1::2]]
    if not (min(xs) >= -_BORDER and min(ys) >= -_BORDER and max(xs) <= width + _BORDER and max(ys) <= height + _BORDER):
        yield (
            'lesions-outside',
            f'its outline reaches from ({min(xs):g}, {min(ys):g}) to ({max(xs):g}, {max(ys):g}) in '
            f'a picture of {width} x {height}',
        )
