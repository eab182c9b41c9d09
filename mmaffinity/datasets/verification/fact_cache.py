"""A cache of file facts on disk, written one by one, so that an interrupted verification can resume."""

import json
import os
from pathlib import Path
from typing import IO, Any

from .image_facts import FileFacts

CACHE_SCHEMA = 1


class FactCache:
    """Facts by kind, path, size and modification time of a file; a changed file is read again.

    There is one JSON line per file, written immediately, so that a killed process loses none. A partial last line, as after a
    power cut, and lines of other versions are ignored. The last of several lines for a file counts. Files with errors are not
    stored, because there are few and they are likely to be repaired.

    Args:
        path: path of the cache; its folder is created if needed. None stores nothing.

    Raises:
        ValueError: if the path is a folder, or the file is not a cache.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._rows: dict[tuple[str, str], tuple[int, int, Any]] = {}
        self._stamps: dict[tuple[str, str], tuple[int, int] | None] = {}
        self._file: IO[bytes] | None = None
        if self.path is not None:
            if self.path.is_dir():
                raise ValueError(f'the cache {self.path} is a folder; choose a file')
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
            raise ValueError(f'{path} is not a cache of mmaffinity verify and was not changed; choose another file')

    def get(self, kind: str, path: str) -> FileFacts | None:
        """Return the facts of a file if it has not changed."""
        if self.path is None:
            return None
        key = kind, os.path.abspath(path)
        # Kept for `add`: a file that changes while being read must not be stored under its earlier state.
        stamp = self._stamps[key] = _stamp(path)
        entry = self._rows.get(key)
        if entry is None or entry[:2] != stamp:
            return None
        try:
            return FileFacts.from_row(entry[2])
        except (ValueError, TypeError):
            return None

    def add(self, kind: str, path: str, facts: FileFacts) -> None:
        """Append the facts of a file that :meth:`get` did not have."""
        key = kind, os.path.abspath(path)
        stamp = self._stamps.get(key)
        if self.path is None or facts.error is not None or stamp is None:
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, 'ab')
            if self._file.tell():
                self._file.write(b'\n')  # otherwise the first new line after a partial one would be lost
        line = json.dumps([CACHE_SCHEMA, *key, *stamp, facts.to_row()])
        self._file.write(line.encode('ascii') + b'\n')
        self._file.flush()

    def close(self) -> None:
        """Flush the lines to disk."""
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
