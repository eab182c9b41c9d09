"""Find the mask of each volume or image by its name."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from mmaffinity.utils.wording import first_few, plural

from ..folder_listing import EXTENSIONS

# What names of masks end with, beyond what they have in common with those of images.
MASK_ENDINGS = ('_mask', '_seg', '_segmentation', '_label', '_labels', '_lesion', '_lesions', '_infection', '_gt')


@dataclass(frozen=True)
class FileKind:
    """Which files are paired.

    Attributes:
        noun: what messages call one.
        suffixes: in lower case, the longest first.
        endings: what names end with, beyond what they have in common with those of masks.
        by_folder: whether the folders below are part of a name: patients often have slices of the same names.
    """

    noun: str
    suffixes: tuple[str, ...]
    endings: tuple[str, ...]
    by_folder: bool

    def find(self, folder: Path) -> list[Path]:
        """List the files of this kind in a folder and below.

        Raises:
            FileNotFoundError: if the folder does not exist or holds none.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f'the folder {folder} does not exist')
        found = sorted(
            path
            for path in folder.rglob('*')
            if path.name.lower().endswith(self.suffixes) and not path.name.startswith('.') and path.is_file()
        )
        if not found:
            raise FileNotFoundError(f'{folder} contains no {self.noun} ({", ".join(self.suffixes)})')
        return found

    def stem(self, path: Path, folder: Path) -> str:
        """Name a file of a folder, without its suffix."""
        name = path.relative_to(folder).as_posix() if self.by_folder else path.name
        return next(name[: -len(suffix)] for suffix in self.suffixes if name.lower().endswith(suffix))


# With nnU-Net, _0000 is the first channel of a volume; of a slice it would be the number.
VOLUMES = FileKind('volume', ('.nii.gz', '.nii'), ('_ct', '_image', '_img', '_0000'), by_folder=False)
IMAGES = FileKind('image', EXTENSIONS, ('_ct', '_image', '_img'), by_folder=True)


@dataclass(frozen=True)
class Pair:
    """An image or volume and its mask, called by what their names have in common."""

    name: str
    image: Path
    mask: Path


@dataclass
class FoundPairs:
    """Pairs in the order of their names, and the files that are in none.

    Attributes:
        pairs: one per name.
        notes: sentences on files without a partner.
        problems: sentences on names that several files have.
    """

    pairs: list[Pair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_pairs(images: Path, masks: Path, pair_pattern: str | None = None, kind: FileKind = VOLUMES) -> FoundPairs:
    """Pair the files of two folders, and the folders below them.

    Names count without extension, and without one of the kind's endings or :data:`MASK_ENDINGS`:
    ``study_0255.nii.gz`` belongs to ``study_0255_mask.nii.gz``. Where both are in one folder, the masks are those whose name
    has one of :data:`MASK_ENDINGS`.

    Args:
        images: folder of the images or volumes.
        masks: folder of the masks; may be the same, one within the other too.
        pair_pattern: regular expression that is searched in the names of both instead; what its groups match, joined by
            '_', has to be equal. Files in which it does not match are in no pair.
        kind: which files count.

    Raises:
        FileNotFoundError: if a folder does not exist or has no such file, or there is no pair.
        ValueError: if the pattern is no regular expression or has no group.
    """
    pattern = _compile(pair_pattern)
    images, masks = images.resolve(), masks.resolve()
    roots, noun = (images, masks), kind.noun
    files = [kind.find(root) for root in roots]
    if images == masks:  # endings tell them apart
        files = [
            [path for path in files[0] if kind.stem(path, images).lower().endswith(MASK_ENDINGS) == wanted]
            for wanted in (False, True)
        ]
    elif shared := set(files[0]) & set(files[1]):  # one folder is below the other, and its files belong to it alone
        inner = int(images in masks.parents)
        files[1 - inner] = [path for path in files[1 - inner] if path not in shared]
    by_name: tuple[defaultdict, defaultdict] = defaultdict(list), defaultdict(list)
    for role, endings in enumerate((kind.endings, MASK_ENDINGS)):
        for path in files[role]:
            by_name[role][_name(kind.stem(path, roots[role]), pattern, endings)].append(path)
    found = FoundPairs()
    for role, what in enumerate((noun, 'mask')):
        unmatched = by_name[role].pop(None, [])
        if unmatched:
            found.notes.append(
                f'the names of {plural(len(unmatched), what)} do not match {pair_pattern!r} '
                f'({first_few([path.name for path in unmatched])})'
            )
    for name in sorted({*by_name[0], *by_name[1]}):
        candidates = by_name[0].get(name, []), by_name[1].get(name, [])
        if min(map(len, candidates)) and max(map(len, candidates)) > 1:
            found.problems.append(
                f'{name}: several files have this name, so it is unclear which belong together: '
                f'{", ".join(str(path) for paths in candidates for path in paths)}'
            )
        elif min(map(len, candidates)):
            found.pairs.append(Pair(name, candidates[0][0], candidates[1][0]))
    for role, what, lacks in ((0, noun, 'mask'), (1, 'mask', noun)):
        alone = [paths[0].name for name, paths in sorted(by_name[role].items()) if name not in by_name[1 - role]]
        if alone:
            found.notes.append(
                f'{plural(len(alone), what, "has")} no {lacks} and {"is" if len(alone) == 1 else "are"} left '
                f'out ({first_few(alone)})'
            )
    if not found.pairs and not found.problems:
        raise FileNotFoundError(
            f'no {noun} of {images} has a mask in {masks} ({"; ".join(found.notes)}): names must be '
            f'equal except for {", ".join(kind.endings)} of {noun}s and {", ".join(MASK_ENDINGS)} of '
            'masks; for other names, use --pair-pattern'
        )
    return found


def _compile(pair_pattern: str | None) -> re.Pattern | None:
    if pair_pattern is None:
        return None
    try:
        pattern = re.compile(pair_pattern)
    except re.error as error:
        raise ValueError(f'pair_pattern={pair_pattern!r} is not a regular expression: {error}') from error
    if not pattern.groups:
        raise ValueError(
            f'pair_pattern={pair_pattern!r} has no group: enclose in parentheses the part that volume and mask have in common'
        )
    return pattern


def _name(stem: str, pattern: re.Pattern | None, endings: tuple[str, ...]) -> str | None:
    if pattern is not None:
        match = pattern.search(stem)
        return '_'.join(group for group in match.groups() if group) or None if match else None
    ending = next((ending for ending in endings if stem.lower().endswith(ending) and len(stem) > len(ending)), '')
    return stem[: len(stem) - len(ending)]
