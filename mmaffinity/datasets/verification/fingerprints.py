"""The two fingerprints of a data set.

``content_sha256`` requires reading every file and changes with any byte of any slice. ``listing_sha256`` reads no file and
changes with a slice's path, size in bytes, label and body box, or lesions. Neither depends on the data root or the order of the
slices.
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

FINGERPRINT_SCHEMA = 1  # hashed with the data
RECORD_SCHEMA = 2
_READERS = 8


def listing_fingerprint(part: Part, sizes: Mapping[str, int] | None = None) -> str:
    """Return a SHA-256 over the classes and, sorted, each slice's (relative path, file size in bytes, label or lesions).

    A missing file has the size null.

    Args:
        part: the data set.
        sizes: known file sizes in bytes, by the slice's path; querying sizes is slow on a network drive.
    """
    known = sizes or {}
    return _digest('listing', part, lambda listed: known[listed.path] if listed.path in known else num_bytes(listed.path))


def content_fingerprint(part: Part, sha256: Mapping[str, str]) -> str | None:
    """Return a SHA-256 over the classes and, sorted, each slice's (relative path, SHA-256 of the file, label or lesions).

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
        dataset: a data loader's data set; concatenations are unwrapped.
        split: 'train', 'val' or 'test'.
        read_files: False leaves ``content_sha256`` null and reads no file.

    Returns:
        ``schema``, ``content_sha256`` and ``listing_sha256`` of all data sets together, and ``parts``: ``name``, ``task``,
        ``num`` (slices) and the two fingerprints of each. Both are null for a data set that does not provide the paths of its
        slices; ``content_sha256`` is also null if a file cannot be read.
    """
    parts = [(leaf, part_of(leaf, split) if lists_paths(leaf) else None) for leaf in leaf_datasets(dataset)]
    sha256 = hash_files({listed.path for _, part in parts if part for listed in part.slices}) if read_files else {}
    rows: list[dict[str, Any]] = [
        # Recording must not make a run fail, so data sets without paths are recorded too.
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
    """Return the SHA-256 of each file by path; unreadable files are omitted.

    Files are read in parallel, because the latency of a network drive exceeds the hashing time.
    """
    ordered = sorted(paths)
    digests = map_files(_hash_file, ordered, _READERS)
    return {path: digest for path, digest in zip(ordered, digests, strict=True) if digest is not None}


def combine(fingerprints: Sequence[str | None]) -> str | None:
    """Combine the fingerprints of data sets, in any order, into one; None if one of them is None."""
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
