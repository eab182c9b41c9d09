"""Checks of annotated lesions for consistency and against the sizes of their images."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..annotation_file import LESIONS, load_annotation_file
from ..coco_checks import with_whole_numbers
from ..mask_extent import mask_extent
from .findings import Finding, findings_of

_BORDER = 0.5  # pixels by which a lesion may extend beyond its image, from rounding or counting from pixel centres
_SLACK = 1.0  # pixels by which a box may differ from that of its mask, for example if its last pixel is included

# By check: verb, problem and fix.
_MESSAGES = {
    'broken-annotations': ('is', 'unusable', 'correct the annotations, or export the file again'),
    'lesions-outside': (
        'is',
        'wholly or partly outside the image',
        'box, mask and image do not match: correct the annotations, or restore the annotated images',
    ),
    'boxes-and-masks': (
        'has',
        'a box or area that does not match the mask',
        'boxes and masks train different heads; make them match',
    ),
}


def check_lesions(files: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Check the annotations of lesion files, including slices that a data set omits.

    The files are read directly, because a data set drops lesions outside the image and rejects a file at its first error. Files
    that are not COCO files are skipped, because their data sets report them.

    Args:
        files: for each lesion file, by path, the data sets that use it.
    """
    findings: list[Finding] = []
    for path, users in files.items():
        cases: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        for row, annotation, image in _annotations(path):
            place = f'annotations[{row}] of {image.get("file_name")}'
            try:
                problems = list(_check_lesion(annotation, image['width'], image['height']))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                problems = [('broken-annotations', f'{type(error).__name__}: {error}')]
            for check, problem in problems:
                cases[check].append((f'{place}: {problem}', dict(lesion=place, problem=problem)))
        for check, found in cases.items():
            verb, problem, remedy = _MESSAGES[check]
            findings += findings_of(check, found, 'lesion', verb, f'{problem} in {", ".join(users)}', f': {remedy}')
    return findings


def _annotations(path: str) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Yield row, annotation and image of each annotation whose image is known."""
    try:
        content = load_annotation_file(path, None, LESIONS)
    except (OSError, ValueError):
        return
    images, annotations = (value if isinstance(value := content.get(key), list) else [] for key in ('images', 'annotations'))
    by_id = {image['id']: image for image in images if isinstance(image, dict) and isinstance(image.get('id'), (int, str))}
    for row, annotation in enumerate(annotations):
        if isinstance(annotation, dict) and isinstance(annotation.get('image_id'), (int, str)):
            image = by_id.get(annotation['image_id'])
            if image is not None:
                yield row, annotation, image


def _check_lesion(annotation: dict[str, Any], width: int, height: int) -> Iterator[tuple[str, str]]:
    """Yield check and problem; ``width`` and ``height`` are those of the image, in pixels."""
    box = annotation.get('bbox')
    if box is not None:
        try:
            _, _, w, h = box = tuple(float(side) for side in box)
        except (TypeError, ValueError):
            yield 'broken-annotations', f'its box {box!r} is not [x, y, width, height]'
            return
        if not (w > 0 and h > 0):
            yield 'broken-annotations', f'its box is {w:g} wide and {h:g} high'
        yield from _check_inside('box', box, width, height)
    mask = with_whole_numbers(annotation.get('segmentation'))
    try:
        extent = mask_extent(mask)
    except ValueError as error:
        yield 'broken-annotations', str(error)
        return
    is_outline = isinstance(mask, list)
    if not is_outline and list(mask['size']) != [height, width]:
        yield 'lesions-outside', f'its mask is for an image of {mask["size"][1]} x {mask["size"][0]}, not {width} x {height}'
    area = annotation.get('area')
    if min(extent.box[2:]) < 1:
        size = f'its outline is {extent.box[2]:g} wide and {extent.box[3]:g} high: coordinates must be in pixels'
        yield 'broken-annotations', size if is_outline else 'its mask is empty'
    elif box is not None and any(abs(one - other) > _SLACK for one, other in zip(box, extent.box)):
        yield 'boxes-and-masks', f'its box is {[round(side, 1) for side in box]}, that of its mask {list(extent.box)}'
    elif not (is_outline or area is None or isinstance(area, (int, float)) and abs(area - extent.area) <= 0.5):
        yield 'boxes-and-masks', f'its area is {area!r}, that of its mask {extent.area} pixels, which is used'
    if is_outline:
        yield from _check_inside('outline', extent.box, width, height)


def _check_inside(what: str, box: Sequence[float], width: int, height: int) -> Iterator[tuple[str, str]]:
    x, y, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    if not (x >= -_BORDER and y >= -_BORDER and right <= width + _BORDER and bottom <= height + _BORDER):
        yield (
            'lesions-outside',
            f'its {what} extends from ({x:g}, {y:g}) to ({right:g}, {bottom:g}) in an image of {width} x {height}',
        )
