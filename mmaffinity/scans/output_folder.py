"""The output folder; nothing is written outside it."""

import errno
import hashlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmaffinity.utils.files import whole_file

MAX_NAME = 80  # characters; file systems allow 255 bytes
LOCK = '.lock'
HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # errors for a lock held by another process


class OutputFolder:
    """Files below one folder, written under temporary names and renamed when complete.

    Args:
        root: the folder, created if absent.

    Raises:
        ValueError: if it, or a parent of it, is a file.
    """

    def __init__(self, root: str | Path) -> None:
        try:
            Path(root).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f'cannot create the output folder {root}: part of its path is a file') from error
        self.root = Path(root).resolve()

    def path(self, *parts: str) -> Path:
        """Return a path below the folder, creating its parent folders.

        Raises:
            ValueError: if it is outside, directly or through a link.
        """
        path = self.root.joinpath(*parts)
        self._check(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._check(path)
        return path

    def _check(self, path: Path) -> None:
        real = Path(os.path.realpath(path))
        if real != self.root and self.root not in real.parents:
            raise ValueError(
                f'{path} is outside the output folder {self.root}, where nothing is written: remove the link that leads there'
            )

    @contextmanager
    def lock(self, shard: str = '') -> Iterator[None]:
        """Prevent other processes from writing to the folder until the block ends.

        The operating system holds the lock, not the file: the lock ends with the process, however it ends, and a leftover file
        has no effect.

        Args:
            shard: name of a shard, '<index>-of-<num>'. Shards of the same division may write concurrently.

        Raises:
            ValueError: if another process holds it.
        """
        name = f'{LOCK}.{shard}' if shard else LOCK
        while True:
            descriptor = os.open(self.path(name), os.O_RDWR | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0), 0o666)
            try:
                _lock(descriptor)
                same = os.path.samestat(os.fstat(descriptor), os.stat(self.root / name))
            except FileNotFoundError:
                same = False
            except OSError as error:
                os.close(descriptor)
                if error.errno in HELD:
                    raise self._busy() from error
                warnings.warn(
                    f'{self.root} is on a file system without locks ({error.strerror}): make sure that no '
                    'other process writes there',
                    stacklevel=3,
                )
                yield
                return
            if same:
                break
            # The previous holder removed the file after we opened it, so a third process could lock a new one: try again.
            os.close(descriptor)
        try:
            # Lock before looking for rivals: of two processes that start together, at least one sees the other.
            if any(_is_held(rival) for rival in self._rivals(shard)):
                raise self._busy()
            yield
        finally:
            if sys.platform != 'win32':  # Windows cannot remove open files
                (self.root / name).unlink(missing_ok=True)
            os.close(descriptor)

    def _busy(self) -> ValueError:
        return ValueError(f'another process is writing to {self.root}: wait for it to finish, or choose another --out')

    def _rivals(self, shard: str) -> Iterator[Path]:
        """Yield lock files of processes that must not write concurrently: all except shards of the same division."""
        if shard:
            yield self.root / LOCK
        for path in self.root.glob(f'{LOCK}.*'):
            if not shard or path.name.rpartition('-of-')[2] != shard.rpartition('-of-')[2]:
                yield path

    @contextmanager
    def write(self, *parts: str) -> Iterator[IO[bytes]]:
        """Open a file for writing; it replaces an existing file if the block ends without an error."""
        path = self.path(*parts)
        with whole_file(path, self.path(*parts[:-1], f'{parts[-1]}.part')) as file:
            yield file


def _lock(descriptor: int, shared: bool = False) -> None:
    """Lock an open file, alone or shared (not on Windows); raise OSError immediately if another process prevents this."""
    if sys.platform == 'win32':
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _is_held(path: Path) -> bool:
    """Return whether a process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, 'O_NOFOLLOW', 0))
    except FileNotFoundError:
        return False
    try:
        _lock(descriptor, shared=True)  # so that several processes may check at once
        return False
    except OSError as error:
        return error.errno in HELD
    finally:
        os.close(descriptor)


def safe_name(text: str, tag: str = '') -> str:
    """Return a file or folder name made of safe characters, never a path.

    Args:
        text: any text, for example a path below the input.
        tag: if given, the name ends in a hash of it, which distinguishes equal texts.
    """
    parts = [part for part in re.split(r'[\\/]+', text) if part not in ('', '.', '..')]
    name = re.sub(r'[^A-Za-z0-9._-]+', '-', '_'.join(parts)).strip('.-_') or 'scan'
    if tag or len(name) > MAX_NAME or name.split('.')[0].upper() in ('CON', 'PRN', 'AUX', 'NUL'):
        digest = hashlib.sha256((tag or text).encode('utf-8', 'backslashreplace')).hexdigest()[:8]
        name = f'{name[: MAX_NAME - 9]}-{digest}'
    return name
