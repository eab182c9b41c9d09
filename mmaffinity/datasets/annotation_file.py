"""Loading of annotation files; errors explain how to get or fix one."""

import json
import os
import re
from pathlib import Path
from typing import Any

LESIONS, SLICES = 'lesion annotations (COCO JSON)', 'a slice list'
# Converters of published data sets, with folder patterns that identify a data root.
_CONVERTERS = {'cncb-ncov': ('NCP', 'Normal'), 'covidx-ct': ('[123]*_images',), 'ictcf': ('nCT', 'pCT')}


def load_annotation_file(path: str, data_root: str | None, kind: str) -> dict[str, Any]:
    """Load a JSON annotation file whose top level is an object.

    Args:
        path: the file, already joined with ``data_root``.
        data_root: root of the data set, named in the error if it does not exist.
        kind: content of the file for error messages: :data:`LESIONS` or :data:`SLICES`.

    Raises:
        FileNotFoundError, PermissionError: as for :func:`check_annotation_file`.
        ValueError: if no file is given, or it does not contain a JSON object.
    """
    check_annotation_file(path, data_root, kind)
    try:
        content = json.loads(Path(path).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'{path} is not valid JSON ({error}): correct the file, or export it again') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} must contain a JSON object with {kind}, not {type(content).__name__}: export it again')
    return content


def check_annotation_file(path: str, data_root: str | None, kind: str) -> None:
    """Check that an annotation file exists, without reading it.

    Args:
        path, data_root, kind: as for :func:`load_annotation_file`.

    Raises:
        FileNotFoundError: if the data root or the file does not exist.
        PermissionError: if this user has no access to a parent folder.
        ValueError: if no file is given.
    """
    if not path:
        raise ValueError(f'no file with {kind} is given: set ann_file')
    try:
        there = Path(path).is_file()
    except PermissionError as error:
        raise PermissionError(f'cannot access {path} ({error.strerror}): check the permissions of its folders') from error
    if there:
        return
    if data_root and not Path(data_root).is_dir():
        raise FileNotFoundError(
            f'data root {data_root} does not exist: set it with --cfg-options data_root=PATH (lesion_root=PATH if the lesion '
            'slices have a root of their own), or with the environment variable that the config names, such as '
            'CNCB_NCOV_ROOT=PATH (or ICTCF_ROOT, COVIDX_CT_ROOT, CLASS_FOLDERS_ROOT, IMAGE_PAIRS_ROOT); mmaffinity phantom '
            'data/phantom draws synthetic data'
        )
    raise FileNotFoundError(f'file with {kind} not found: {path}. {_how_to_get(data_root, kind)}')


def _how_to_get(data_root: str | None, kind: str) -> str:
    """Describe how to get a missing list: convert a published data set, or specify or create your own file."""
    for converter, folders in _CONVERTERS.items():
        if data_root and all(any(Path(data_root).glob(folder)) for folder in folders):
            return f'Create it with mmaffinity convert {converter} {data_root}'
    folders_alone = '; one folder of images per class needs no list, see SliceFolderDataset' if kind == SLICES else ''
    return (
        f'Correct ann_file or data_root, or create the file in the format described in docs/data.md{folders_alone}. '
        'mmaffinity convert creates the lists of public data sets and of your own folders (class-folders, image-pairs)'
    )


def image_prefix(data_prefix: dict[str, str], key: str) -> dict[str, str]:
    """Return ``data_prefix`` with its single entry under ``key``, whether it was named 'img' or 'img_path'.

    MMDetection's COCO data sets and MMEngine's lists use different names; users need not remember which.

    Raises:
        ValueError: if it does not have exactly one of these entries.
    """
    if len(data_prefix) != 1 or not data_prefix.keys() <= {'img', 'img_path'}:
        raise ValueError(f'data_prefix={dict(data_prefix)} must have one entry, img: the folder of the images below data_root')
    return {key: next(iter(data_prefix.values()))}


def portable_name(name: str, prefix: str) -> str:
    """Return an image's name from a list, with forward slashes if it was written on Windows.

    Args:
        name: relative to ``prefix``, or absolute.
        prefix: folder of the images.

    Raises:
        ValueError: if it starts with a Windows drive and this machine has none.
    """
    if os.name == 'nt':
        return name
    if re.match(r'[A-Za-z]:[\\/]', name):
        raise ValueError(
            f'has the image name {name!r}, an absolute Windows path: make it relative to '
            f'{prefix or "data_root"}, with forward slashes'
        )
    # Outside Windows, a backslash may be part of a name, so a name with one is first looked up unchanged.
    return name.replace('\\', '/') if '\\' in name and not os.path.exists(os.path.join(prefix, name)) else name
