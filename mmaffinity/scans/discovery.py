"""Find scans in the user's inputs: files, folders, lists of these, and arrays."""

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
    """Check that all inputs exist; quick, and possible before a model is loaded.

    Raises:
        FileNotFoundError: if files or folders do not exist; the message names all of them.
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
            continue  # something exists; find_scans reports any problem
        if not found:
            missing.append(printable(str(item)) or "'' (an empty name)")
    if missing:
        raise FileNotFoundError(f'no such file or folder: {", ".join(missing)}')


def find_scans(
    inputs: Input | Iterable[Input], options: ReadOptions | None = None, exclude: Sequence[str | Path] = ()
) -> Iterator[Scan | Problem]:
    """Find the scans in files, folders and arrays.

    The images of a folder form one scan, DICOM files are grouped by series (across all subfolders of an input), and every NIfTI
    file is a scan. Links inside a folder are not followed. Other files and unreadable ones are yielded as problems.

    Args:
        inputs: a path, an array of one slice, or an iterable of these. Arrays in a list form one scan; those of an iterator,
            which may be infinite, form scans of 64.
        options: conversion of pixels to grey levels.
        exclude: folders to skip, such as the output folder.

    Yields:
        Scans, whose pixels have not been read yet, and problems: first from folders in the order found, then from
        individually named files, then from arrays.
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
            # Links given by the user are followed; links found inside folders are not.
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
        yield Problem(root_name, 'is the output folder: choose another --out')
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
    """Yield the scans in individually named files."""
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
    """Classify one file: append the name of an image to ``images``; return the contents of other files."""
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
            return [Problem(shown, 'was left by a file manager and contains no slice', clutter=True)]
        return [Problem(shown, brief(error), clutter=isinstance(error, Clutter))]


def _walk(root: Path, excluded: set[Path]) -> Iterator[tuple[Path, list[str] | str]]:
    """Yield (folder, names of its regular files in natural order), or (path, reason) for skipped entries.

    Iterative, because folders may be nested deeper than Python's stack.
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
                        yield Path(entry.path), f'is a link to a path {where} the folder; links are not followed'
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                        names.append(entry.name)
                    else:
                        yield Path(entry.path), 'is not a regular file'
        except OSError as error:
            yield folder, f'cannot be listed: {error.strerror or error}'
        if JOURNAL in names:
            yield folder, 'contains results of an earlier run, not scans'
            continue
        yield folder, sorted(names, key=natural)
        waiting += [folder / name for name in sorted(folders, key=natural, reverse=True)]


def _shown(path: Path, root: Path) -> str:
    return printable(os.path.join(root.name or '', os.path.relpath(path, root))).removesuffix('/.')
