"""Files of one JSON value per line, which a killed process leaves readable."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

Lines = TypeVar('Lines', bound='JsonLines')


class JsonLines:
    """A file of lines, read whole and appended one by one.

    An appended line is handed to the operating system at once, so that a killed process loses none. A power cut or a full disk
    may leave a partial last line: it is read as damaged, and the next line starts after it.

    Args:
        path: path of the file. The first appended line creates it, and its folder if needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def lines(self) -> Iterator[tuple[int, Any]]:
        """Yield the place and the value of each line, None for a damaged one; nothing if there is no file."""
        if not self.path.exists():
            return
        with open(self.path, 'rb') as file:
            place = 0
            for line in file:
                yield place, _value(line)
                place += len(line)

    def at(self, places: Iterable[int]) -> Iterator[Any]:
        """Yield the values of the lines at some places."""
        with open(self.path, 'rb') as file:
            for place in places:
                file.seek(place)
                yield _value(file.readline())

    def truncate(self, place: int) -> None:
        """Remove the lines from a place on."""
        with open(self.path, 'ab') as file:
            file.truncate(place)

    def append(self, value: Any) -> int:
        """Write a value as the last line, and return its place.

        Raises:
            ValueError: if the value contains NaN or infinity, which are not valid JSON.
        """
        line = json.dumps(value, allow_nan=False).encode('ascii') + b'\n'
        if self._file is None:
            self._file = self._open()
        place = self._file.tell()
        self._file.write(line)
        self._file.flush()
        return place

    def _open(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, 'a+b')
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read() != b'\n':
                file.write(b'\n')
        return file

    def close(self) -> None:
        """Wait until the lines are on disk, so that they also survive a power cut."""
        file, self._file = self._file, None
        if file is not None:
            with file:
                os.fsync(file.fileno())

    def __enter__(self: Lines) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _value(line: bytes) -> Any:
    try:
        return json.loads(line) if line.endswith(b'\n') else None
    except (ValueError, RecursionError):
        return None
