"""Finding the scans in what a user names: files, folders, lists of them, arrays."""
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .dicom_frames import read_headers
from .dicom_header import DicomHeader
from .dicom_scan import group_series
from .image_scan import ArrayScan, ImageScan, natural
from .items import Problem, ReadOptions, Scan
from .journal import JOURNAL
from .nifti_scan import NiftiScan
from .opening import DICOM, IMAGE, Clutter, brief, file_key, is_clutter, kind_of, printable

Input = str | Path | np.ndarray
ARRAYS_AT_ONCE = 64


def check_inputs(inputs: Iterable[Input]) -> None:
    """Look whether what a user names is there, which is quick and needs no model.

    Raises:
        FileNotFoundError: if a file or folder is not there; all that are not are named.
    """
    missing = []
    for item in inputs:
        if isinstance(item, np.ndarray):
            continue
        try:
            found = bool(str(item)) and Path(item).resolve(strict=True)
        except FileNotFoundError:
            found = False
        except (OSError, RuntimeError, ValueError, TypeError):
            continue  # something is there; find_scans says what is wrong with it
        if not found:
            missing.append(printable(str(item)) or "'' (an empty name)")
    if missing:
        raise FileNotFoundError(f'there is no file or folder {", ".join(missing)}')


def find_scans(inputs: Input | Iterable[Input], options: ReadOptions | None = None,
               exclude: Sequence[str | Path] = ()) -> Iterator[Scan | Problem]:
    """Find the scans in files, folders and arrays.

    Images of one folder are one scan, DICOM files are kept apart by series (over all subfolders of an input), every
    NIfTI file is one. Links inside a folder are not followed. What is none of these, or cannot be read, is yielded as a
    problem.

    Args:
        inputs: a path, an array of one slice, or an iterable of these. Arrays of a list are one scan; those of an iterator,
            which may be endless, come 64 at a time.
        options: how pixels become grey levels.
        exclude: folders to leave out, such as that of the results.

    Yields:
        Scans, whose pixels have not been read yet, and problems: folders as they are met, then files that are named one by
        one, then arrays.
    """
    options = options or ReadOptions()
    inputs = [inputs] if isinstance(inputs, (str, Path, np.ndarray)) else inputs
    excluded = {Path(folder).resolve() for folder in exclude}
    files: list[Path] = []
    arrays: list[np.ndarray] = []
    num_arrays = 0
    for item in inputs:
        if isinstance(item, np.ndarray):
            arrays.append(item)
            if isinstance(inputs, Iterator) and len(arrays) == ARRAYS_AT_ONCE:
                yield ArrayScan(arrays, options, num_arrays)
                num_arrays += len(arrays)
                arrays = []
            continue
        try:
            path = Path(item)
            # A link that the user names is meant; links met on the way are not.
            path = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            missing = isinstance(error, FileNotFoundError)
            yield Problem(printable(str(item)), 'does not exist' if missing else brief(error))
            continue
        if path.is_dir():
            yield from _scan_folder(path, options, excluded)
        else:
            files.append(path)
    if files:
        yield from _sort_files(dict.fromkeys(files), options)
    if arrays:
        yield ArrayScan(arrays, options, num_arrays)


def _scan_folder(root: Path, options: ReadOptions, excluded: set[Path]) -> Iterator[Scan | Problem]:
    headers: list[DicomHeader] = []
    root_name = printable(root.name) or 'scan'
    if root in excluded:
        yield Problem(root_name, 'is the folder that the results go to: name another --out')
        return
    for folder, names in _walk(root, excluded):
        if isinstance(names, str):
            yield Problem(_shown(folder, root), names)
            continue
        images: list[str] = []
        for name in names:
            path = folder / name
            for item in _take(path, _shown(path, root), images, options):
                if isinstance(item, DicomHeader):
                    headers.append(item)
                else:
                    yield item
        if images:
            yield ImageScan(folder, images, _shown(folder, root), options)
    yield from group_series(headers, root_name, printable(root), options)


def _sort_files(files: Iterable[Path], options: ReadOptions) -> Iterator[Scan | Problem]:
    """Scans in files that were named one by one."""
    images: dict[Path, list[str]] = {}
    series: dict[Path, list[DicomHeader]] = {}
    for path in files:
        found: list[str] = []
        shown = printable(path.name)
        for item in _take(path, shown, found, options):
            if isinstance(item, DicomHeader):
                series.setdefault(path.parent, []).append(item)
            elif isinstance(item, Problem):
                yield replace(item, source=printable(path) + item.source.removeprefix(shown))
            else:
                yield item
        if found:
            images.setdefault(path.parent, []).extend(found)
    for folder, names in images.items():
        yield ImageScan(folder, names, printable(folder.name) or 'images', options)
    for folder, headers in series.items():
        yield from group_series(headers, printable(folder.name) or 'series', printable(folder), options)


def _take(path: Path, shown: str, images: list[str], options: ReadOptions) -> Sequence[Scan | Problem | DicomHeader]:
    """Sort one file: the name of an image goes to ``images``; what other files hold is returned."""
    try:
        kind = kind_of(path)
        if kind == IMAGE:
            images.append(path.name)
            return []
        if kind == DICOM:
            return read_headers(path, shown, f'{shown}|{file_key(path)}')
        return [NiftiScan(path, shown, options)]
    except (MemoryError, Exception) as error:
        if is_clutter(path):
            return [Problem(shown, 'is left by a file manager, and holds no slice', clutter=True)]
        return [Problem(shown, brief(error), clutter=isinstance(error, Clutter))]


def _walk(root: Path, excluded: set[Path]) -> Iterator[tuple[Path, list[str] | str]]:
    """Yield (folder, names of its regular files in natural order), or (path, reason) for what is left out.

    No recursion, as folders may be nested deeper than Python's stack.
    """
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if folder in excluded:
            continue
        names, folders = [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        target = Path(os.path.realpath(entry.path))
                        where = 'inside' if target == root or root in target.parents else 'outside'
                        yield Path(entry.path), f'is a link to {where} the folder, which is not followed'
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                        names.append(entry.name)
                    else:
                        yield Path(entry.path), 'is not a regular file'
        except OSError as error:
            yield folder, f'cannot be listed: {error.strerror or error}'
        if JOURNAL in names:
            yield folder, 'holds results of an earlier run, which are no scans'
            continue
        yield folder, sorted(names, key=natural)
        waiting += [folder / name for name in sorted(folders, key=natural, reverse=True)]


def _shown(path: Path, root: Path) -> str:
    return printable(os.path.join(root.name or '', os.path.relpath(path, root))).removesuffix('/.')
