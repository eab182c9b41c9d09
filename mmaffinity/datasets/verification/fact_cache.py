"""An on-disk cache of file facts, written file by file, so that an interrupted verification can resume."""

import os
from pathlib import Path
from typing import Any

from mmaffinity.utils.json_lines import JsonLines

from .image_facts import FileFacts

CACHE_SCHEMA = 1


class FactCache:
    """Facts by kind, path, size and modification time of a file; a changed file is read again.

    The cache has one JSON line per file, written immediately, so that a killed process loses none. A partial last line, as
    after a power cut, and lines of other versions are ignored. If a file has several lines, the last one counts. Files with
    errors are not stored, because they are few and will probably be repaired.

    Args:
        path: path of the cache; its folder is created if needed. None stores nothing.

    Raises:
        ValueError: if the path is a folder, or the file is not a cache.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._lines = None if path is None else JsonLines(Path(path))
        self._rows: dict[tuple[str, str], tuple[int, int, Any]] = {}
        self._stamps: dict[tuple[str, str], tuple[int, int] | None] = {}
        if self._lines is not None:
            if self._lines.path.is_dir():
                raise ValueError(f'the cache {path} is a folder; choose a file')
            self._read(self._lines)

    def _read(self, file: JsonLines) -> None:
        lines = other = 0
        for _, line in file.lines():
            lines += 1
            try:
                schema, kind, name, size, changed, row = line
                if schema == CACHE_SCHEMA:
                    self._rows[kind, name] = size, changed, row
            except (ValueError, TypeError):  # not six values, or a list as a name
                other += 1
        if lines and other == lines and lines > 1:
            raise ValueError(f'{file.path} is not a cache of mmaffinity verify and is unchanged; choose another file')

    def get(self, kind: str, path: str) -> FileFacts | None:
        """Return the stored facts of a file; None if it is unknown or has changed."""
        if self._lines is None:
            return None
        key = kind, os.path.abspath(path)
        # Kept for `add`: if the file changes while it is read, its earlier stamp makes the next run read it again.
        stamp = self._stamps[key] = _stamp(path)
        entry = self._rows.get(key)
        if entry is None or entry[:2] != stamp:
            return None
        try:
            return FileFacts.from_row(entry[2])
        except (ValueError, TypeError):
            return None

    def add(self, kind: str, path: str, facts: FileFacts) -> None:
        """Append the facts of a file for which :meth:`get` returned None."""
        key = kind, os.path.abspath(path)
        stamp = self._stamps.get(key)
        if self._lines is not None and facts.error is None and stamp is not None:
            self._lines.append([CACHE_SCHEMA, *key, *stamp, facts.to_row()])

    def close(self) -> None:
        """Flush the lines to disk."""
        if self._lines is not None:
            self._lines.close()

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
