"""Bring slices below a new data root without copying them."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def check_outside(out: str | os.PathLike, folder: Path) -> None:
    """Check that a result is not made within the folder of the slices, where it would be read as slices the next time.

    Raises:
        ValueError: if it is.
    """
    if Path(out).resolve().is_relative_to(folder):
        raise ValueError(f'the output folder {out} is inside the slice folder {folder}: choose one outside it (--out)')


def place_slices(root: Path, name: str, folder: Path, slices: Iterable[str], copy: bool) -> None:
    """Make ``<root>/<name>`` a link to a folder, or a folder with copies.

    Args:
        root: the data root.
        name: of the link or folder.
        folder: what it leads to.
        slices: relative to ``folder``, the files to copy.
        copy: copy instead.

    Raises:
        ValueError: if this file system has no links.
    """
    if copy:
        for slice_ in slices:
            (root / name / slice_).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / slice_, root / name / slice_)
        return
    try:
        (root / name).symlink_to(folder.resolve(), target_is_directory=True)
    except OSError as error:
        raise ValueError(
            f'cannot create a link to {folder} in {root} ({error.strerror or error}): copy the slices (--copy)'
        ) from error
