"""Clear error messages for disk, folder and loader-worker failures."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def check_writable(work_dir: str | Path) -> None:
    """Create a work directory and check that it is writable, before hours of work that could not be saved.

    Raises:
        ValueError: if the folder is not writable: read-only, full, or a file of that name.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ValueError(
            f'the work directory {work_dir} is not writable ({error.strerror}): choose another with --work-dir, or fix '
            'it; existing files are untouched'
        ) from error


@contextmanager
def plain_failures(remedy: str) -> Iterator[None]:
    """Raise clear errors for a full or unwritable disk and for failed loader workers.

    Args:
        remedy: what to do once the disk is fixed; ends the message.

    Raises:
        ValueError: if a file could not be written.
        Exception: the error of a loader worker, without the traceback that torch prepends to its message.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL + _CLOSED:
            _raise_plainly(error)
        reason = 'no space left on the disk' if error.errno in _FULL else error.strerror
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
    raise type(error)(text[at + 1 + len(name) :].strip() if at >= 0 else text) from error
