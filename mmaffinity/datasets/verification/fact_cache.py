"""Facts of files on disk, appended one by one, so that an interrupted verification goes on where it was."""
import json
import os
from pathlib import Path
from typing import IO, Any

from .image_facts import FileFacts

CACHE_SCHEMA = 1


class FactCache:
    """Facts by kind, path, size and time of change of a file; a file that changed is read again.

    One JSON line per file. A line is written at once, so a kill loses none; half a line at the end, which is what a
    power cut leaves, and lines of other versions are ignored. Of several lines on a file the last counts. Files
    with errors are not kept: there are few, and they are likely to be repaired.

    Args:
        path: of the cache; its folder is made where missing. None keeps nothing.

    Raises:
        ValueError: if the path is a folder, or the file is something else than a cache.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._rows: dict[tuple[str, str], tuple[int, int, Any]] = {}
        self._stamps: dict[tuple[str, str], tuple[int, int] | None] = {}
        self._file: IO[bytes] | None = None
        if self.path is not None:
            if self.path.is_dir():
                raise ValueError(f'the cache {self.path} is a folder; name a file')
            if self.path.exists():
                self._read(self.path)

    def _read(self, path: Path) -> None:
        lines = other = 0
        with open(path, 'rb') as file:
            for line in file:
                lines += 1
                try:
                    schema, kind, name, size, changed, row = json.loads(line)
                except (ValueError, TypeError):
                    other += 1
                    continue
                if schema == CACHE_SCHEMA:
                    self._rows[kind, name] = size, changed, row
        if lines and other == lines and lines > 1:
            raise ValueError(f'{path} is no cache of verify_dataset, and is left as it is; name another file')

    def get(self, kind: str, path: str) -> FileFacts | None:
        """Return what is known of a file, if it is still the same file."""
        if self.path is None:
            return None
        key = kind, os.path.abspath(path)
        # Kept for `add`: a file that changes while it is read must not be remembered as it was before.
        stamp = self._stamps[key] = _stamp(path)
        entry = self._rows.get(key)
        if entry is None or entry[:2] != stamp:
            return None
        try:
            return FileFacts.from_row(entry[2])
        except (ValueError, TypeError):
            return None

    def add(self, kind: str, path: str, facts: FileFacts) -> None:
        """Append what was read of a file after :meth:`get` did not know it."""
        key = kind, os.path.abspath(path)
        stamp = self._stamps.get(key)
        if self.path is None or facts.error is not None or stamp is None:
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, 'ab')
            # After half a line, the first new one would be lost with it.
            if self._file.tell() and not _ends_with_newline(self.path):
                self._file.write(b'\n')
        line = json.dumps([CACHE_SCHEMA, *key, *stamp, facts.to_row()])
        self._file.write(line.encode('ascii') + b'\n')
        self._file.flush()

    def close(self) -> None:
        """Bring the lines to the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def __enter__(self) -> 'FactCache':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _ends_with_newline(path: Path) -> bool:
    with open(path, 'rb') as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b'\n'
