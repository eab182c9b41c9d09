"""Find the slices of a list below a data root, reading each folder once."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmaffinity.utils.wording import plural

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')


class RawFiles:
    """The files of a data root by folder and name without suffix.

    CNCB-NCOV keeps some slices as PNG and some as JPEG while the lists say .png throughout. One listing per folder
    answers all questions about it, where asking for each slice and suffix would be 200 000 calls.

    Args:
        data_root: The folder that paths are relative to.
    """

    def __init__(self, data_root: Path) -> None:
        self.data_root = data_root
        self._folders: dict[str, dict[tuple[str, str], str]] = {}

    def find(self, folder: str, name: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> str | None:
        """Return the path of a file relative to the data root, with '/', or None where there is none.

        Args:
            folder: Folder relative to the data root, with '/'.
            name: File name without suffix.
            suffixes: Suffixes in lower case, the preferred one first; the files' own may be in capitals.
        """
        if folder not in self._folders:
            self._folders[folder] = self._list(folder)
        entries = self._folders[folder]
        for suffix in suffixes:
            if (name, suffix) in entries:
                return f'{folder}/{entries[name, suffix]}'
        return None

    def _list(self, folder: str) -> dict[tuple[str, str], str]:
        entries = {}
        try:
            # A folder among the entries would need a stat call each to be told apart on some file systems; none has
            # an image's suffix, so the suffix decides.
            with os.scandir(self.data_root / folder) as found:
                for entry in found:
                    stem, suffix = os.path.splitext(entry.name)
                    if suffix.lower() in IMAGE_SUFFIXES:
                        entries[stem, suffix.lower()] = entry.name
        except (FileNotFoundError, NotADirectoryError):
            pass  # all of its slices are missing, which the caller reports together
        return entries


class MissingFiles:
    """Collects what is not there, to say it in one sentence.

    Args:
        data_root: The folder that was searched.
        remedy: What brings the files, a clause that ends the sentence.
    """

    def __init__(self, data_root: Path, remedy: str) -> None:
        self.data_root = data_root
        self.remedy = remedy
        self._missing: list[tuple[Path, int, list[str]]] = []

    def add(self, source: Path, num_slices: int, paths: list[str]) -> None:
        """Note which of the files that ``num_slices`` slices of a list ask for are missing; none is fine."""
        if paths:
            self._missing.append((source, num_slices, paths))

    def raise_if_any(self) -> None:
        """Stop where anything was noted.

        Raises:
            FileNotFoundError: naming the lists, how many files, and the first three.
        """
        if not self._missing:
            return
        counts = ', '.join(f'{len(paths)} for {plural(rows, "slice")} from {source}' for source, rows, paths in self._missing)
        paths = [path for _, _, found in self._missing for path in found]
        first = ', '.join(paths[:3]) + (', ...' if len(paths) > 3 else '')
        raise FileNotFoundError(f'{plural(len(paths), "file", "is")} missing under {self.data_root} ({counts}): {first}; '
                                f'{self.remedy}')


def check_data_root(data_root: Path, remedy: str) -> None:
    """Stop where the data root is not a folder.

    Raises:
        FileNotFoundError: naming the folder and the remedy.
    """
    if not data_root.is_dir():
        raise FileNotFoundError(f'the data root {data_root} is not a folder; {remedy}')
