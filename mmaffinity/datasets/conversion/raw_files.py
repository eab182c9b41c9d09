"""Lookup of listed slices below a data root, reading each folder once."""

import os
from collections.abc import Sequence
from pathlib import Path

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')
# Folders of CNCB-NCOV's original layout and of the converters, which are never flat image folders.
_NOT_FLAT = frozenset({'NCP', 'CP', 'Normal', 'ct_lesion_seg', 'annotations', 'lists'})


class RawFiles:
    """The images of a data root, by folder and name without suffix.

    CNCB-NCOV stores some slices as PNG and others as JPEG, while its lists contain only .png. Each folder is listed once,
    because one query per slice and suffix would take 200 000 calls.

    Args:
        data_root: folder to which paths are relative.
    """

    def __init__(self, data_root: Path) -> None:
        self.data_root = data_root
        self._folders: dict[str, dict[tuple[str, str], str]] = {}

    def find(self, folder: str, name: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> str | None:
        """Return the path of a file relative to the data root, with '/', or None if there is none.

        Args:
            folder: folder relative to the data root, with '/'; '' is the data root itself.
            name: file name without suffix.
            suffixes: suffixes in lower case, the preferred one first; those of the files may be in upper case.
        """
        if folder not in self._folders:
            self._folders[folder] = self._list(folder)
        entries = self._folders[folder]
        for suffix in suffixes:
            if (name, suffix) in entries:
                return f'{folder}/{entries[name, suffix]}' if folder else entries[name, suffix]
        return None

    def find_in(self, folders: Sequence[str], name: str) -> str | None:
        """Return the path of a file in the first of the folders that has it, or None; see :meth:`find`."""
        return next((path for folder in folders if (path := self.find(folder, name)) is not None), None)

    def _list(self, folder: str) -> dict[tuple[str, str], str]:
        entries = {}
        try:
            # Subfolders are not excluded: that takes a stat call per entry on some file systems, and none has an image suffix.
            with os.scandir(self.data_root / folder) as found:
                for entry in found:
                    stem, suffix = os.path.splitext(entry.name)
                    if suffix.lower() in IMAGE_SUFFIXES:
                        entries[stem, suffix.lower()] = entry.name
        except (FileNotFoundError, NotADirectoryError):
            pass  # the caller reports its slices as missing
        return entries


def flat_folders(data_root: Path, version: str = '') -> list[str]:
    """Return the folders that directly contain images, among the data root and its subfolders down to two levels.

    COVIDx-CT has one flat folder with all slices beside the lists, such as ``3A_images/``.

    Args:
        data_root: the folder to search. Folders of CNCB-NCOV's original layout are skipped.
        version: folders whose names start with it come first.

    Returns:
        Paths relative to the data root, with '/'; '' is the data root itself.
    """
    found: list[str] = []

    def search(folder: str, depth: int) -> None:
        below: list[str] = []
        has_images = False
        try:
            with os.scandir(data_root / folder) as entries:
                for entry in entries:
                    if not has_images and entry.name.lower().endswith(IMAGE_SUFFIXES):
                        has_images = True
                    elif depth and entry.name not in _NOT_FLAT and not entry.name.startswith('.') and entry.is_dir():
                        below.append(f'{folder}/{entry.name}' if folder else entry.name)
        except PermissionError:
            return  # such as lost+found; slices that exist only there are reported as missing
        if has_images:
            found.append(folder)
        for name in sorted(below):
            search(name, depth - 1)

    search('', 2)
    return sorted(found, key=lambda folder: not folder.rpartition('/')[2].startswith(version))


def check_data_root(data_root: Path, remedy: str) -> None:
    """Check that the data root is a folder.

    Raises:
        FileNotFoundError: if it is not; the message ends with ``remedy``.
    """
    if not data_root.is_dir():
        raise FileNotFoundError(f'the data root {data_root} is not a folder; {remedy}')
