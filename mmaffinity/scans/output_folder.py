"""The output folder, outside of which nothing is written."""
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
            raise ValueError(f'the output folder {root} cannot be made: a part of it is a file') from error
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
            raise ValueError(f'{path} is outside the output folder {self.root}: nothing is written there; remove the '
                             'link that leads out')

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Prevent other processes from writing to the folder until the block ends.

        The operating system holds the lock, not the file. The lock ends with the process, however it ends, and a leftover file
        locks nobody out.

        Raises:
            ValueError: if another process holds it.
        """
        while True:
            descriptor = os.open(self.path(LOCK), os.O_RDWR | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0), 0o666)
            try:
                _lock(descriptor)
                same = os.path.samestat(os.fstat(descriptor), os.stat(self.root / LOCK))
            except FileNotFoundError:
                same = False
            except OSError as error:
                os.close(descriptor)
                if error.errno in HELD:
                    raise ValueError(f'another process is writing to {self.root}: wait until it has ended, or name '
                                     'another --out') from error
                warnings.warn(f'{self.root} is on a file system without locks ({error.strerror}): see to it that no '
                              'other process writes there', stacklevel=3)
                yield
                return
            if same:
                break
            # The previous holder removed the file between our opening and locking, so a third process could lock a new one.
            os.close(descriptor)
        try:
            yield
        finally:
            if sys.platform != 'win32':  # Windows cannot remove open files
                (self.root / LOCK).unlink(missing_ok=True)
            os.close(descriptor)

    @contextmanager
    def write(self, *parts: str) -> Iterator[IO[bytes]]:
        """Open a file for writing; it replaces the old one if the block ends without an error."""
        path = self.path(*parts)
        with whole_file(path, self.path(*parts[:-1], f'{parts[-1]}.part')) as file:
            yield file


def _lock(descriptor: int) -> None:
    """Lock an open file for this process; raise OSError immediately if another process holds the lock."""
    if sys.platform == 'win32':
        import msvcrt
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def safe_name(text: str, tag: str = '') -> str:
    """Return a file or folder name of safe characters, never a path.

    Args:
        text: any text, for example a path below the input.
        tag: if given, the name ends in a hash of it, which distinguishes equal texts.
    """
    parts = [part for part in re.split(r'[\\/]+', text) if part not in ('', '.', '..')]
    name = re.sub(r'[^A-Za-z0-9._-]+', '-', '_'.join(parts)).strip('.-_') or 'scan'
    if tag or len(name) > MAX_NAME or name.split('.')[0].upper() in ('CON', 'PRN', 'AUX', 'NUL'):
        digest = hashlib.sha256((tag or text).encode('utf-8', 'backslashreplace')).hexdigest()[:8]
        name = f'{name[:MAX_NAME - 9]}-{digest}'
    return name
