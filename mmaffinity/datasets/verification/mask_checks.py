"""Checks of the raw masks of CNCB-NCOV, if a data root has them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmaffinity.structures import SEGMENTATION
from mmaffinity.utils.wording import first_few, plural

from .findings import FAILURE, Finding
from .image_facts import FileFacts
from .parts import Part, same_file_key

FOLDER = 'ct_lesion_seg'
_IMAGES, _MASKS = ('.jpg', '.jpeg', '.png'), ('.png',)


class RawMasks:
    """Images and masks of ``<data root>/ct_lesion_seg/{image,mask}/<patient>/<slice>``.

    Args:
        root: the data root.

    Attributes:
        images: path by (patient, name without suffix).
        masks: likewise.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = _list(root / FOLDER / 'image', _IMAGES)
        self.masks = _list(root / FOLDER / 'mask', _MASKS)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Paths of image and mask if both exist."""
        return [(self.images[key], self.masks[key]) for key in sorted(self.images.keys() & self.masks.keys())]


def find_raw_masks(parts: Sequence[Part]) -> list[RawMasks]:
    """List the raw masks of data roots that have any; they are not used in a root without lesion lists."""
    roots = dict.fromkeys(os.path.abspath(part.root) for part in parts if part.root and part.task == SEGMENTATION)
    return [RawMasks(Path(root)) for root in roots if (Path(root) / FOLDER / 'mask').is_dir()]


def check_masks(found: Sequence[RawMasks], parts: Sequence[Part], facts: Mapping[str, FileFacts]) -> list[Finding]:
    """Check that masks have images and the reverse, their values and their sizes.

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

    without = [relative(masks.masks[key]) for key in sorted(masks.masks.keys() - masks.images.keys())]
    if without:
        yield Finding(
            'mask-without-image',
            f'{plural(len(without), "mask", "has")} no image under {masks.root} '
            f'({first_few(without)}): add the images, or remove the masks; if the files are from an archive, '
            'unpack it again',
            len(without),
            without,
        )
    bare = [masks.images[key] for key in sorted(masks.images.keys() - masks.masks.keys())]
    if bare:
        used = [path for path in bare if same_file_key(path) in listed]
        clause = f', of which {plural(len(used), "image", "is")} in a list' if used else ''
        names = [relative(path) for path in (used or bare)]
        yield Finding(
            'image-without-mask',
            f'{plural(len(bare), "lesion image", "has")} no mask under {masks.root}{clause} '
            f'({first_few(names)}): add the masks, empty ones for slices without lesions; if the files are from an '
            'archive, unpack it again',
            len(bare),
            [relative(path) for path in bare],
            FAILURE if used else '',
        )
    foreign = [(relative(mask), str(facts[mask].error)) for _, mask in masks.pairs if facts[mask].foreign]
    if foreign:
        yield Finding(
            'mask-values',
            f'{plural(len(foreign), "raw mask", "has")} values that mean nothing '
            f'({first_few([error for _, error in foreign], 2)})',
            len(foreign),
            [dict(file=file, error=error) for file, error in foreign],
        )
    broken = [
        (relative(mask), str(facts[mask].error)) for _, mask in masks.pairs if facts[mask].error and not facts[mask].foreign
    ]
    for image, mask in masks.pairs:
        one, other = facts.get(image), facts[mask]
        if one and not one.error and not other.error and (one.width, one.height) != (other.width, other.height):
            broken.append(
                (relative(mask), f'{relative(mask)} is {other.width} x {other.height}, its image {one.width} x {one.height}')
            )
    if broken:
        yield Finding(
            'mask-files',
            f'{plural(len(broken), "raw mask")} cannot be used ({first_few([error for _, error in broken], 2)})',
            len(broken),
            [dict(file=file, error=error) for file, error in broken],
        )


def _list(folder: Path, suffixes: tuple[str, ...]) -> dict[tuple[str, str], str]:
    files: dict[tuple[str, str], str] = {}
    for patient in sorted(folder.iterdir()) if folder.is_dir() else []:
        if patient.is_dir():
            for path in sorted(patient.iterdir()):
                if path.suffix.lower() in suffixes and not path.name.startswith('.'):
                    files.setdefault((patient.name, path.stem), str(path))
    return files
