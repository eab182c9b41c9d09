"""Find the mask of each NIfTI volume by its name."""
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from mmaffinity.utils.wording import first_few, plural

VOLUME_SUFFIXES = ('.nii.gz', '.nii')
# What names of volumes and of masks end with, beyond what they have in common.
IMAGE_ENDINGS = ('_ct', '_image', '_img', '_0000')
MASK_ENDINGS = ('_mask', '_seg', '_segmentation', '_label', '_labels', '_lesion', '_lesions', '_infection', '_gt')


@dataclass(frozen=True)
class Pair:
    """A volume and its mask, called by what their names have in common."""
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


def find_pairs(images: Path, masks: Path, pair_pattern: str | None = None) -> FoundPairs:
    """Pair the NIfTI volumes of two folders, and the folders below them.

    Names count without extension, and without one of :data:`IMAGE_ENDINGS` or :data:`MASK_ENDINGS`:
    ``study_0255.nii.gz`` belongs to ``study_0255_mask.nii.gz``. Where both are in one folder, the masks are those whose name
    has one of :data:`MASK_ENDINGS`.

    Args:
        images: folder of the volumes.
        masks: folder of the masks; may be the same, one within the other too.
        pair_pattern: regular expression that is searched in the names of both instead; what its groups match, joined by
            '_', has to be equal. Files in which it does not match are in no pair.

    Raises:
        FileNotFoundError: if a folder does not exist or has no volume, or there is no pair.
        ValueError: if the pattern is no regular expression or has no group.
    """
    pattern = _compile(pair_pattern)
    images, masks = images.resolve(), masks.resolve()
    files = [_volumes(images), _volumes(masks)]
    if images == masks:  # endings tell them apart
        files = [[path for path in files[0] if _is_mask(path) == wanted] for wanted in (False, True)]
    elif shared := set(files[0]) & set(files[1]):  # one folder is below the other, and its files belong to it alone
        inner = int(images in masks.parents)
        files[1 - inner] = [path for path in files[1 - inner] if path not in shared]
    by_name: tuple[defaultdict, defaultdict] = defaultdict(list), defaultdict(list)
    for role, endings in enumerate((IMAGE_ENDINGS, MASK_ENDINGS)):
        for path in files[role]:
            by_name[role][_name(_stem(path), pattern, endings)].append(path)
    found = FoundPairs()
    for role, what in enumerate(('volume', 'mask')):
        unmatched = by_name[role].pop(None, [])
        if unmatched:
            found.notes.append(f'the names of {plural(len(unmatched), what)} do not match {pair_pattern!r} '
                               f'({first_few([path.name for path in unmatched])})')
    for name in sorted({*by_name[0], *by_name[1]}):
        candidates = by_name[0].get(name, []), by_name[1].get(name, [])
        if min(map(len, candidates)) and max(map(len, candidates)) > 1:
            found.problems.append(f'{name}: several files have this name, so which belong together is not clear: '
                                  f'{", ".join(str(path) for paths in candidates for path in paths)}')
        elif min(map(len, candidates)):
            found.pairs.append(Pair(name, candidates[0][0], candidates[1][0]))
    for role, what, lacks in ((0, 'volume', 'mask'), (1, 'mask', 'volume')):
        alone = [paths[0].name for name, paths in sorted(by_name[role].items()) if name not in by_name[1 - role]]
        if alone:
            found.notes.append(f'{plural(len(alone), what, "has")} no {lacks} and {"is" if len(alone) == 1 else "are"} left '
                               f'out ({first_few(alone)})')
    if not found.pairs and not found.problems:
        raise FileNotFoundError(f'no volume of {images} has a mask in {masks} ({"; ".join(found.notes)}): names have to be '
                                f'equal, except for {", ".join(IMAGE_ENDINGS)} of volumes and {", ".join(MASK_ENDINGS)} of '
                                'masks; for others give --pair-pattern')
    return found


def _compile(pair_pattern: str | None) -> re.Pattern | None:
    if pair_pattern is None:
        return None
    try:
        pattern = re.compile(pair_pattern)
    except re.error as error:
        raise ValueError(f'pair_pattern={pair_pattern!r} is no regular expression: {error}') from error
    if not pattern.groups:
        raise ValueError(f'pair_pattern={pair_pattern!r} has no group: enclose in parentheses what volume and mask have in '
                         'common')
    return pattern


def _volumes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder {folder}')
    found = sorted(path for path in folder.rglob('*')
                   if path.name.lower().endswith(VOLUME_SUFFIXES) and not path.name.startswith('.') and path.is_file())
    if not found:
        raise FileNotFoundError(f'{folder} holds no NIfTI volume ({", ".join(VOLUME_SUFFIXES)})')
    return found


def _stem(path: Path) -> str:
    return next(path.name[:-len(suffix)] for suffix in VOLUME_SUFFIXES if path.name.lower().endswith(suffix))


def _name(stem: str, pattern: re.Pattern | None, endings: tuple[str, ...]) -> str | None:
    if pattern is not None:
        match = pattern.search(stem)
        return '_'.join(group for group in match.groups() if group) or None if match else None
    ending = next((ending for ending in endings if stem.lower().endswith(ending) and len(stem) > len(ending)), '')
    return stem[:len(stem) - len(ending)]


def _is_mask(path: Path) -> bool:
    return _stem(path).lower().endswith(MASK_ENDINGS)
