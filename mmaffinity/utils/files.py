"""Write files atomically, so that readers and interrupted runs never see partial files."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

PathLike = str | os.PathLike


def sha256_of(path: PathLike) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def num_bytes(path: PathLike) -> int | None:
    """Return the size of a file in bytes; None if it does not exist or is not accessible."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def write_json_atomic(path: PathLike, obj: Any) -> None:
    """Write an object as JSON atomically: the file is either complete or unchanged.

    Args:
        path: the file; its folder is created if needed.
        obj: an object that ``json`` can write; NaN and infinity are rejected, because they are not valid JSON.

    Raises:
        ValueError: if the object contains NaN or infinity.
        TypeError: if the object contains something that JSON cannot represent.
    """
    write_jsons_atomic({path: obj})


def write_jsons_atomic(objects: Mapping[Any, Any]) -> None:
    """Write several related JSON files, all or none.

    They are renamed once the last one is on disk. Equal objects give equal bytes.

    Args:
        objects: objects to write, by path. Folders are created if needed.

    Raises:
        ValueError: if an object contains NaN or infinity.
        TypeError: if an object contains something that JSON cannot represent.
    """
    # Generate all text first, so that invalid objects are rejected before any file is written.
    texts = {Path(path): json.dumps(obj, allow_nan=False) + '\n' for path, obj in objects.items()}
    with ExitStack() as stack:
        for path, text in texts.items():
            file = stack.enter_context(whole_file(path, sync=False))
            file.write(text.encode())
            _sync(file)


@contextmanager
def whole_file(path: PathLike, part: PathLike | None = None, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file that gets its final name if the block ends without an error, and is removed otherwise.

    Args:
        path: the file to write; it replaces an existing one, and its folder is created if needed.
        part: the temporary file, in the same folder; ``<name>.part`` by default. Processes that may write the same file
            concurrently need different ones.
        sync: wait until the content is on disk. Otherwise a power cut after the rename could leave an empty file.

    Yields:
        The open file. A library that needs a path can write to its ``name``.
    """
    path = Path(path)
    part = path.with_name(f'{path.name}.part') if part is None else Path(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)  # left by a killed run, or a link to somewhere else
    try:
        with open(part, 'xb') as file:
            yield file
            if sync:
                _sync(file)
        os.replace(part, path)
    except BaseException:  # KeyboardInterrupt too
        part.unlink(missing_ok=True)
        raise


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def whole_folder(path: PathLike, marker: str, overwrite: bool = False) -> Iterator[Path]:
    """Fill a temporary folder that gets its final name if the block ends without an error, and is removed otherwise.

    Args:
        path: the folder to create, with any missing parents.
        marker: a file that the block writes, relative to the folder, by which later calls recognise the folder.
        overwrite: whether to replace a folder that contains the marker. Any other non-empty folder is left untouched.

    Yields:
        The folder to fill, ``.<name>.mmaffinity.part`` next to the final one.

    Raises:
        FileExistsError: if ``path`` is a file, or a non-empty folder that may not be replaced.
    """
    path = Path(os.path.abspath(path))
    # Names that nothing else uses, because leftovers of killed runs under these names are removed.
    part, old = (path.with_name(f'.{path.name}.mmaffinity.{end}') for end in ('part', 'old'))
    if old.exists() and not path.exists():
        os.replace(old, path)  # a run was killed between its two renames
    if path.exists() and not path.is_dir():
        raise FileExistsError(f'{path} is a file; choose a folder')
    if path.is_dir() and any(path.iterdir()):
        if not (path / marker).is_file():
            raise FileExistsError(f'{path} is not empty but has no {marker}, so it is something else; choose another folder')
        if not overwrite:
            raise FileExistsError(f'{path} contains an earlier result; choose another folder, or replace it (--overwrite)')
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
    except BaseException:  # KeyboardInterrupt too
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
