"""Two fingerprints of a data set, which are never to be mixed up.

``content_sha256``, of the verification, reads every file: it changes with any byte of any slice. ``listing_sha256``, of
training and test, reads none: it changes with a slice's path, size in bytes, label or lesions. Both are the same for
the same data under another data root and in another order.
"""
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .parts import ListedSlice, Part, leaf_datasets, lists_paths, part_of

FINGERPRINT_SCHEMA = 1


def listing_fingerprint(part: Part, num_bytes: Mapping[str, int] | None = None) -> str:
    """SHA-256 over classes and, sorted, every slice's (relative path, bytes of the file, label or lesions).

    A file that is not there counts with the size null.

    Args:
        part: the data set.
        num_bytes: sizes of files by the slice's path, as far as they are known already; asking for one takes long on a
            network drive.
    """
    known = num_bytes or {}
    return _digest('listing', part, lambda listed: known[listed.path] if listed.path in known else _num_bytes(listed.path))


def content_fingerprint(part: Part, sha256: Mapping[str, str]) -> str | None:
    """SHA-256 over classes and, sorted, every slice's (relative path, SHA-256 of the file, label or lesions).

    Args:
        part: the data set.
        sha256: of each file, by the slice's path.

    Returns:
        The fingerprint; None where a file could not be read, as there is no such data set then.
    """
    if any(listed.path not in sha256 for listed in part.slices):
        return None
    return _digest('content', part, lambda listed: sha256[listed.path])


def record_of(dataset: Any, split: str) -> dict[str, Any]:
    """What a run writes of the data it used: the listing fingerprint of each data set, and one of all together.

    Args:
        dataset: as a dataloader holds it; concatenations are taken apart.
        split: what it is used for.

    Returns:
        ``schema``, ``listing_sha256`` of all, and ``parts``: ``name``, ``task``, ``num`` (slices) and ``listing_sha256``
        of each; null for a data set that does not tell the paths of its slices.
    """
    rows: list[dict[str, Any]] = []
    for leaf in leaf_datasets(dataset):
        if lists_paths(leaf):
            part = part_of(leaf, split)
            rows.append(dict(name=part.name, task=part.task, num=len(part.slices),
                             listing_sha256=listing_fingerprint(part)))
        else:  # a run must not end over its own record
            rows.append(dict(name=f'{split} ({type(leaf).__name__})', task=None, num=len(leaf), listing_sha256=None))
    return dict(schema=FINGERPRINT_SCHEMA, listing_sha256=combine([row['listing_sha256'] for row in rows]), parts=rows)


def combine(fingerprints: Sequence[str | None]) -> str | None:
    """One fingerprint of several data sets, in any order; None where one of them has none."""
    known = [fingerprint for fingerprint in fingerprints if fingerprint is not None]
    return hashlib.sha256('\n'.join(sorted(known)).encode()).hexdigest() if len(known) == len(fingerprints) else None


def _digest(kind: str, part: Part, file_value: Callable[[ListedSlice], Any]) -> str:
    rows = sorted(json.dumps([listed.rel_path, file_value(listed), listed.annotation]) for listed in part.slices)
    header = json.dumps([kind, FINGERPRINT_SCHEMA, part.task, list(part.classes)])
    digest = hashlib.sha256(header.encode())
    for row in rows:
        digest.update(b'\n' + row.encode())
    return digest.hexdigest()


def _num_bytes(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
