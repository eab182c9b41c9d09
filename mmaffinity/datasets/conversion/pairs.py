"""Pairing of volumes or images with their masks by name."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mmaffinity.utils.wording import first_few, plural

from ..folder_listing import EXTENSIONS, walk_folder
from ..patients import check_pattern
from .summary import ConversionSummary

# Endings of mask names, after the part that they share with image names.
MASK_ENDINGS = ('_mask', '_seg', '_segmentation', '_label', '_labels', '_lesion', '_lesions', '_infection', '_gt')


@dataclass(frozen=True)
class FileKind:
    """A kind of files to pair with masks.

    Attributes:
        noun: noun in messages.
        suffixes: file suffixes in lower case, the longest first.
        endings: endings of names, after the part that they share with mask names.
        by_folder: whether subfolders are part of a name, because slices of different patients often have the same file names.
    """

    noun: str
    suffixes: tuple[str, ...]
    endings: tuple[str, ...]
    by_folder: bool

    def find(self, folder: Path) -> list[Path]:
        """List the files of this kind in a folder and its subfolders; links to folders are followed.

        Raises:
            FileNotFoundError: if the folder does not exist or contains none.
            ValueError: if a folder cannot be listed.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f'the folder {folder} does not exist: correct the path')
        found = sorted(
            place / name
            for place, names in walk_folder(folder)
            for name in names
            if name.lower().endswith(self.suffixes) and (place / name).is_file()
        )
        if not found:
            raise FileNotFoundError(f'{folder} contains no {self.noun} ({", ".join(self.suffixes)}): correct the path')
        return found

    def stem(self, path: Path, folder: Path) -> str:
        """Return the name of a file in a folder, without its suffix."""
        name = path.relative_to(folder).as_posix() if self.by_folder else path.name
        return next(name[: -len(suffix)] for suffix in self.suffixes if name.lower().endswith(suffix))


# In nnU-Net, _0000 marks the first channel of a volume; in the name of a slice, it is a number.
VOLUMES = FileKind('volume', ('.nii.gz', '.nii'), ('_ct', '_image', '_img', '_0000'), by_folder=False)
IMAGES = FileKind('image', EXTENSIONS, ('_ct', '_image', '_img'), by_folder=True)


@dataclass(frozen=True)
class Pair:
    """An image or volume and its mask; ``name`` is the common part of their names."""

    name: str
    image: Path
    mask: Path


def find_pairs(
    images: Path, masks: Path, summary: ConversionSummary, pair_pattern: str | None = None, kind: FileKind = VOLUMES
) -> list[Pair]:
    """Pair the files of two folders and their subfolders.

    Names are compared without extension and without one of the kind's endings or :data:`MASK_ENDINGS`:
    ``study_0255.nii.gz`` belongs to ``study_0255_mask.nii.gz``. If both are in one folder, the files with one of
    :data:`MASK_ENDINGS` are the masks.

    Args:
        images: folder of the images or volumes.
        masks: folder of the masks; it may be the same folder, or one may contain the other.
        summary: receives warnings about files without a partner, and names shared by several files as problems.
        pair_pattern: regular expression searched in the names of both instead; its groups, joined by '_', must be equal. Files
            that it does not match are not paired.
        kind: which files to pair with masks.

    Returns:
        The pairs, sorted by name.

    Raises:
        FileNotFoundError: if a folder does not exist or has no such file, or there is no pair.
        ValueError: if the pattern is not a regular expression or has no group.
    """
    pattern = check_pattern('pair_pattern', pair_pattern, 'the part that image and mask names share')
    images, masks = images.resolve(), masks.resolve()
    roots, nouns = (images, masks), (kind.noun, 'mask')
    files = [kind.find(root) for root in roots]
    if images == masks:  # endings tell them apart
        files = [
            [path for path in files[0] if kind.stem(path, images).lower().endswith(MASK_ENDINGS) == wanted]
            for wanted in (False, True)
        ]
    elif shared := set(files[0]) & set(files[1]):  # one folder contains the other, whose files belong to it alone
        inner = int(images in masks.parents)
        files[1 - inner] = [path for path in files[1 - inner] if path not in shared]
    by_name: tuple[defaultdict, defaultdict] = defaultdict(list), defaultdict(list)
    notes = []
    for role, endings in enumerate((kind.endings, MASK_ENDINGS)):
        for path in files[role]:
            by_name[role][_name(kind.stem(path, roots[role]), pattern, endings)].append(path)
        if unmatched := by_name[role].pop(None, []):
            names = first_few([path.name for path in unmatched])
            notes.append(f'the names of {plural(len(unmatched), nouns[role])} do not match {pair_pattern!r} ({names})')
    pairs, problems = [], []
    for name in sorted(by_name[0].keys() & by_name[1].keys()):
        candidates = [*by_name[0][name], *by_name[1][name]]
        if len(candidates) == 2:
            pairs.append(Pair(name, *candidates))
        else:
            problems.append(
                f'{name}: several files have this name, so it is unclear which belong together: '
                f'{", ".join(map(str, candidates))}'
            )
    for role, noun in enumerate(nouns):
        alone = [by_name[role][name][0].name for name in sorted(by_name[role].keys() - by_name[1 - role].keys())]
        if alone:
            verb = 'is' if len(alone) == 1 else 'are'
            notes.append(f'{plural(len(alone), noun, "has")} no {nouns[1 - role]} and {verb} left out ({first_few(alone)})')
    if not pairs and not problems:
        raise FileNotFoundError(
            f'no {kind.noun} of {images} has a mask in {masks} ({"; ".join(notes)}): names must be equal except for the '
            f'endings {", ".join(kind.endings)} of {kind.noun}s and {", ".join(MASK_ENDINGS)} of masks; for other names, use '
            '--pair-pattern'
        )
    for note in notes:
        summary.warn(note)
    summary.add_problems(problems)
    return pairs


def _name(stem: str, pattern: re.Pattern | None, endings: tuple[str, ...]) -> str | None:
    if pattern is not None:
        match = pattern.search(stem)
        return '_'.join(group for group in match.groups() if group) or None if match else None
    ending = next((ending for ending in endings if stem.lower().endswith(ending) and len(stem) > len(ending)), '')
    return stem[: len(stem) - len(ending)]
