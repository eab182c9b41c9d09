"""Verification of all data in a config."""

import time
from collections.abc import Callable, Collection
from pathlib import Path

from mmengine.config import Config

from mmaffinity.utils.config import own_config

from .counts import check_counts, describe
from .duplicates import check_duplicates
from .fact_cache import FactCache
from .file_checks import check_files
from .findings import FAILURE, WARNING, apply_allowances
from .fingerprints import content_fingerprint, listing_fingerprint
from .image_facts import MASK, SLICE
from .leakage import check_leakage
from .lesion_checks import check_lesions
from .mask_checks import check_masks, find_raw_masks
from .near import Near
from .parts import find_lesion_files, find_parts
from .reading import read_all
from .report import VerificationReport


def verify_config(
    config: str | Path | Config,
    allow: Collection[str] = (),
    strict: bool = False,
    read_files: bool = True,
    cache: str | Path | None = None,
    workers: int | None = None,
    near: Near | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VerificationReport:
    """Verify the training, validation and test data of a config, without changing them.

    Args:
        config: a config or its path.
        allow: names of checks whose findings are accepted, see :data:`~.findings.CHECKS`.
        strict: treat warnings as failures unless allowed.
        read_files: False checks only the lists: shared patients, scans and files, class counts, lesions.
        cache: cache file, so that a later run reads only changed files. None stores nothing.
        workers: number of processes, by default one per core; 0 reads in the current process.
        near: criteria for near-identical images.
        progress: called as ``progress(done, total)`` over the files to read.

    Returns:
        The report.

    Raises:
        FileNotFoundError: if the config does not exist.
        ValueError: if the config cannot be read or has no data set, or an argument is invalid.
    """
    apply_allowances((), allow)  # report an unknown name now rather than after an hour of reading
    cfg = own_config(config)
    parts, findings = find_parts(cfg)
    findings += [*check_leakage(parts), *check_counts(parts), *check_lesions(find_lesion_files(cfg))]
    facts, reading = None, None
    if read_files:
        started = time.monotonic()
        raw_masks = find_raw_masks(parts)
        jobs = [(SLICE, listed.path) for part in parts for listed in part.slices]
        jobs += [(MASK, mask) for masks in raw_masks for _, mask in masks.pairs]
        with FactCache(cache) as known:
            found, num_read = read_all(jobs, known, workers, progress)
        seconds = time.monotonic() - started
        reading = dict(files=len(found), read=num_read, seconds=round(seconds, 3))
        facts = {path: fact for (_, path), fact in found.items()}
        findings += [*check_files(parts, facts), *check_duplicates(parts, facts, near), *check_masks(raw_masks, parts, facts)]
    hashes = {path: fact.sha256 for path, fact in (facts or {}).items() if fact.error is None}
    sizes = {path: fact.num_bytes for path, fact in (facts or {}).items() if fact.num_bytes is not None}
    rows = [
        dict(
            describe(part, facts),
            content_sha256=content_fingerprint(part, hashes),
            listing_sha256=listing_fingerprint(part, sizes),
        )
        for part in parts
    ]
    findings = apply_allowances(findings, allow, strict)
    findings.sort(key=lambda finding: (finding.severity != FAILURE, finding.severity != WARNING))  # otherwise in original order
    paths: dict[str, dict[str, str]] = {}
    for part in parts:
        paths.setdefault(part.split, {}).update((listed.rel_path, listed.path) for listed in part.slices)
    return VerificationReport(cfg.filename, rows, findings, reading, paths)
