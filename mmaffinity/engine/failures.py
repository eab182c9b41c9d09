"""What goes wrong around a run, told in one sentence."""
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def check_writable(work_dir: str | Path) -> None:
    """Make a work folder, and a file in it, before hours are spent on what cannot be kept.

    Raises:
        ValueError: if that is not possible: read-only, full, or a file where a folder should be.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ValueError(f'nothing can be written to the work folder {work_dir} ({error.strerror}): name another with '
                         '--work-dir, or mend that one; what lies in it was left as it is') from error


@contextmanager
def plain_failures(remedy: str) -> Iterator[None]:
    """Turn two kinds of failure into sentences: a disk that is full or closed, and errors from loader workers.

    Args:
        remedy: what to do after the disk was seen to, as the end of the sentence.

    Raises:
        ValueError: if a file could not be written.
        Exception: of the type that a loader worker raised, with its message alone; torch puts the worker's traceback
            before it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL + _CLOSED:
            _raise_plainly(error)
        reason = 'there is no space left' if error.errno in _FULL else error.strerror
        place = f' at {error.filename}' if error.filename else ''
        raise ValueError(f'the run stopped{place}: {reason}; {remedy}') from error
    except ValueError as error:
        _raise_plainly(error)


def _raise_plainly(error: Exception) -> None:
    text = str(error)
    if not text.startswith('Caught ') or 'DataLoader worker process' not in text:
        raise error
    name = f'{type(error).__name__}: '
    at = text.rfind(f'\n{name}')
    raise type(error)(text[at + 1 + len(name):].strip() if at >= 0 else text) from error
