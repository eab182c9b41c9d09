"""Two different fingerprints of a data set.

``content_sha256`` reads every file: it changes with any byte of any slice. ``listing_sha256`` reads none: it changes with a
slice's path, size in bytes, label and body box, or lesions. Both are equal for the same data under another data root and in
another order.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mmaffinity.utils.files import num_bytes, sha256_of
from mmaffinity.utils.nested_datasets import leaf_datasets
from mmaffinity.utils.provenance import fingerprint

from ..parallel import map_files
from .parts import ListedSlice, Part, lists_paths, part_of

FINGERPRINT_SCHEMA = 1  # part of what is hashed
RECORD_SCHEMA = 2
_READERS = 8


def listing_fingerprint(part: Part, sizes: Mapping[str, int] | None = None) -> str:
    """SHA-256 over classes and, sorted, every slice's (relative path, bytes of the file, label or lesions).

    A missing file counts with the size null.

    Args:
        part: the data set.
        sizes: known file sizes in bytes by the slice's path; querying a size is slow on a network drive.
    """
    known = sizes or {}
    return _digest('listing', part, lambda listed: known[listed.path] if listed.path in known else num_bytes(listed.path))


def content_fingerprint(part: Part, sha256: Mapping[str, str]) -> str | None:
    """SHA-256 over classes and, sorted, every slice's (relative path, SHA-256 of the file, label or lesions).

    Args:
        part: the data set.
        sha256: SHA-256 of each file, by the slice's path.

    Returns:
        The fingerprint; None if a file could not be read.
    """
    if any(listed.path not in sha256 for listed in part.slices):
        return None
    return _digest('content', part, lambda listed: sha256[listed.path])


def record_of(dataset: Any, split: str, read_files: bool = True) -> dict[str, Any]:
    """Return a run's record of its data: the fingerprints of each data set and of all together.

    Args:
        dataset: a dataloader's data set; concatenations are unwrapped.
        split: its use.
        read_files: False leaves ``content_sha256`` null and reads no file.

    Returns:
        ``schema``, ``content_sha256`` and ``listing_sha256`` of all, and ``parts``: ``name``, ``task``, ``num`` (slices) and
        the two fingerprints of each. Both are null for a data set without paths of its slices; ``content_sha256`` is also
        null if a file cannot be read.
    """
    parts = [(leaf, part_of(leaf, split) if lists_paths(leaf) else None) for leaf in leaf_datasets(dataset)]
    sha256 = hash_files({listed.path for _, part in parts if part for listed in part.slices}) if read_files else {}
    rows: list[dict[str, Any]] = [
        # A run must not fail because of its own record, so data sets without paths are recorded too.
        dict(
            name=part.name if part else f'{split} ({type(leaf).__name__})',
            task=part.task if part else None,
            num=len(leaf),
            content_sha256=content_fingerprint(part, sha256) if part and read_files else None,
            listing_sha256=listing_fingerprint(part) if part else None,
        )
        for leaf, part in parts
    ]
    return dict(
        schema=RECORD_SCHEMA,
        content_sha256=combine([row['content_sha256'] for row in rows]),
        listing_sha256=combine([row['listing_sha256'] for row in rows]),
        parts=rows,
    )


def hash_files(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file by path; unreadable files are omitted.

    Files are read in parallel, because a network drive's latency exceeds the hashing time.
    """
    ordered = sorted(paths)
    digests = map_files(_hash_file, ordered, _READERS)
    return {path: digest for path, digest in zip(ordered, digests, strict=True) if digest is not None}


def combine(fingerprints: Sequence[str | None]) -> str | None:
    """One fingerprint of several data sets in any order; None if one of them has none."""
    known = [one for one in fingerprints if one is not None]
    return fingerprint(known) if len(known) == len(fingerprints) else None


def _digest(kind: str, part: Part, file_value: Callable[[ListedSlice], Any]) -> str:
    rows = sorted(json.dumps([listed.rel_path, file_value(listed), listed.annotation]) for listed in part.slices)
    header = json.dumps([kind, FINGERPRINT_SCHEMA, part.task, list(part.classes)])
    digest = hashlib.sha256(header.encode())
    for row in rows:
        digest.update(b'\n' + row.encode())
    return digest.hexdigest()


def _hash_file(path: str) -> str | None:
    try:
        return sha256_of(path)
    except OSError:
        return None
