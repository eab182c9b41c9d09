"""Listing of a folder of slices: images, recognised by content, and unused files by kind."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from mmaffinity.utils.decoding import starts_like_image
from mmaffinity.utils.wording import plural

# Accepted unread, so that a damaged file stops a run instead of being skipped; other files are inspected.
EXTENSIONS = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.tif', '.tiff', '.webp')
# Leftovers of Windows and macOS, besides names that start with a dot (.DS_Store, ._x.png).
_CLUTTER = frozenset({'thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r', '__macosx'})
_MASK_WORD = r'(masks?|segs?|segmentations?|labels?|annotations?|ground[ _-]?truths?|gt)'
_MASK_FOLDER = re.compile(rf'(.*masks?|(.*[ _.-])?{_MASK_WORD})([ _.-]?(\d+|png|jpe?g|tiff?|bmp|images?|files?))?', re.I)
_MASK_FILE = re.compile(rf'(.+?)[ _.-]+{_MASK_WORD}([ _.-]*\d+)?', re.I)
MASK, BROKEN_LINK, SPECIAL, NO_EXTENSION = 'masks', 'broken links', 'special files', 'no extension'


def list_folder(folder: Path, others: Collection[Path] = ()) -> Iterator[tuple[Path, str | None]]:
    """Yield every file in a folder and its subfolders with the reason why it is not a slice, or None if it is one.

    A file is a slice if it has an image extension or starts like an image. Files in a mask folder, and ``a_mask.png`` next to
    ``a.png``, are masks. Links are followed, and each folder is visited once. Hidden files and files that operating systems
    leave behind are skipped.

    Args:
        folder: folder to search.
        others: folders to skip, such as those of other classes.

    Raises:
        ValueError: if a folder cannot be listed.
    """
    for place, names in walk_folder(folder, others):
        of_masks = any(_MASK_FOLDER.fullmatch(part) for part in place.relative_to(folder).parts)
        stems = {Path(name).stem for name in names}
        for name in names:
            match = _MASK_FILE.fullmatch(Path(name).stem)
            yield place / name, MASK if of_masks or (match and match[1] in stems) else _why_unused(place / name)


def walk_folder(folder: Path, others: Collection[Path] = ()) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and its subfolders, each with the names of its files, without hidden files and system leftovers.

    Links are followed, and each folder is visited once.

    Args:
        folder: folder to search.
        others: folders to skip.

    Raises:
        ValueError: if a folder cannot be listed.
    """
    entered = {os.path.realpath(folder)}
    for top, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        place = Path(top)
        below = []
        for name in sorted(folders):
            target = os.path.realpath(place / name)
            if not _is_clutter(name) and place / name not in others and target not in entered:
                entered.add(target)
                below.append(name)
        folders[:] = below
        yield place, [name for name in names if not _is_clutter(name)]


def _why_unused(path: Path) -> str | None:
    if not os.path.isfile(path):  # reading a pipe would block forever
        return BROKEN_LINK if path.is_symlink() else SPECIAL
    if path.suffix.lower() not in EXTENSIONS and not _starts_like_image(path):
        name = path.name.lower()
        return '.nii.gz' if name.endswith('.nii.gz') else path.suffix.lower() or NO_EXTENSION
    return None


def _starts_like_image(path: Path) -> bool:
    try:
        with open(path, 'rb') as file:
            return starts_like_image(file.read(32))
    except OSError:
        return False


def describe_unused(folder: str | Path, kinds: Sequence[str]) -> str:
    """Describe the unused files of a folder: '7 files of healthy are not used (.jfif 3, .gif 1)'."""
    counts = ', '.join(f'{kind} {number}' for kind, number in Counter(kinds).most_common())
    return f'{plural(len(kinds), "file")} of {folder} {"is" if len(kinds) == 1 else "are"} not used ({counts})'


def missing_folder(folder: Path) -> str:
    """Describe a missing folder and the folders that exist beside it."""
    names = sorted(entry.name for entry in folder.parent.iterdir() if entry.is_dir()) if folder.parent.is_dir() else []
    near = [name for name in names if name.casefold() == folder.name.casefold()] or get_close_matches(folder.name, names)
    there = f' (did you mean {" or ".join(near)}?)' if near else f' (there are {", ".join(names[:10])})' if names else ''
    return f'no such folder of slices: {folder}{there}'


def _is_clutter(name: str) -> bool:
    return name.startswith('.') or name.lower() in _CLUTTER


def _raise(error: OSError) -> None:
    raise ValueError(f'cannot list the folder {error.filename} ({error.strerror}): check its permissions') from error
