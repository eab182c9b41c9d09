"""Checks of CNCB-NCOV's raw masks, for data roots that have them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmaffinity.structures import SEGMENTATION
from mmaffinity.utils.wording import plural

from .findings import FAILURE, Finding, findings_of
from .image_facts import FileFacts
from .parts import Part, same_file_key

FOLDER = 'ct_lesion_seg'


class RawMasks:
    """Images and masks of ``<data root>/ct_lesion_seg/{image,mask}/<patient>/<slice>``.

    Args:
        root: the data root.

    Attributes:
        images: path of each image, by (patient, name without suffix).
        masks: path of each mask, likewise.
        pairs: paths of the image and mask of each slice that has both.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = _list(root / FOLDER / 'image', ('.jpg', '.jpeg', '.png'))
        self.masks = _list(root / FOLDER / 'mask', ('.png',))
        self.pairs = [(self.images[key], self.masks[key]) for key in sorted(self.images.keys() & self.masks.keys())]


def find_raw_masks(parts: Sequence[Part]) -> list[RawMasks]:
    """List the raw masks of all data roots that have both raw masks and a lesion list."""
    roots = dict.fromkeys(os.path.abspath(part.root) for part in parts if part.root and part.task == SEGMENTATION)
    return [RawMasks(Path(root)) for root in roots if (Path(root) / FOLDER / 'mask').is_dir()]


def check_masks(found: Sequence[RawMasks], parts: Sequence[Part], facts: Mapping[str, FileFacts]) -> list[Finding]:
    """Check that every mask has an image and vice versa, and the values and sizes of the masks.

    Args:
        found: masks from :func:`find_raw_masks`.
        parts: the data sets.
        facts: facts of masks, and of images if known, by path.
    """
    listed = {same_file_key(slice_.path) for part in parts for slice_ in part.slices}
    return [finding for masks in found for finding in _check_root(masks, listed, facts)]


def _check_root(masks: RawMasks, listed: set[str], facts: Mapping[str, FileFacts]) -> Iterator[Finding]:

    def relative(path: str) -> str:
        return Path(path).relative_to(masks.root).as_posix()

    again = 'if the files are from an archive, unpack it again'
    without = [relative(masks.masks[key]) for key in sorted(masks.masks.keys() - masks.images.keys())]
    yield from findings_of(
        'mask-without-image',
        [(name, name) for name in without],
        'mask',
        'has',
        f'no image under {masks.root}',
        f': add the images, or remove the masks; {again}',
    )
    bare = [masks.images[key] for key in sorted(masks.images.keys() - masks.masks.keys())]
    bare.sort(key=lambda path: same_file_key(path) not in listed)  # listed images first
    used = sum(same_file_key(path) in listed for path in bare)
    yield from findings_of(
        'image-without-mask',
        [(relative(path), relative(path)) for path in bare],
        'lesion image',
        'has',
        f'no mask under {masks.root}' + (f', of which {plural(used, "image", "is")} in a list' if used else ''),
        f': add the masks (empty ones for slices without lesions); {again}',
        FAILURE if used else '',
    )
    broken = {True: [], False: []}  # type: dict[bool, list[tuple[str, dict[str, str]]]]
    for image, mask in masks.pairs:
        fact, other, name = facts[mask], facts.get(image), relative(mask)
        error = fact.error
        if not error and other and not other.error and (fact.width, fact.height) != (other.width, other.height):
            error = f'{name} is {fact.width} x {fact.height}, its image {other.width} x {other.height}'
        if error:
            broken[fact.foreign].append((error, dict(file=name, error=error)))
    yield from findings_of('mask-values', broken[True], 'raw mask', 'has', 'invalid values')
    yield from findings_of('mask-files', broken[False], 'raw mask', '', 'cannot be used')


def _list(folder: Path, suffixes: tuple[str, ...]) -> dict[tuple[str, str], str]:
    files: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob('*/*')):
        if path.suffix.lower() in suffixes and not path.name.startswith('.'):
            files.setdefault((path.parent.name, path.stem), str(path))
    return files
