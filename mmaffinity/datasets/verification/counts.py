"""Numbers of slices, patients and lesions per data set, by class, size, bit depth and file type."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmaffinity.structures import SEGMENTATION
from mmaffinity.utils.wording import plural

from .findings import Finding
from .image_facts import FileFacts
from .parts import Part


def describe(part: Part, facts: Mapping[str, FileFacts] | None) -> dict[str, Any]:
    """Count the slices, patients and lesions of a data set.

    Args:
        part: the data set.
        facts: facts of every file, by the slice's path; None if files were not read.

    Returns:
        ``split``, ``name``, ``task``, ``data_root``, ``ann_file``, ``num``, ``patients`` and ``scans`` (None if unknown),
        ``unknown_patients`` (slices), ``classes`` (slices or lesions by class), ``with_lesions`` (slices; None for labelled
        ones), and the number of slices by ``kinds`` (lower-case file extension), ``sizes`` ('width x height') and ``depths``
        (the last two None if files were not read).
    """
    lesions = part.task == SEGMENTATION
    by_label = Counter(label for listed in part.slices for label in (listed.lesions if lesions else (listed.label,)))
    patients = {listed.patient for listed in part.slices if listed.patient is not None}
    scans = {(listed.patient, listed.scan) for listed in part.slices if listed.scan is not None}
    whole = [facts[listed.path] for listed in part.slices if facts[listed.path].error is None] if facts is not None else []
    return dict(
        split=part.split,
        name=part.name,
        task=part.task,
        data_root=part.root,
        ann_file=part.ann_file,
        num=len(part.slices),
        patients=len(patients) or None,
        scans=len(scans) or None,
        unknown_patients=sum(listed.patient is None for listed in part.slices),
        classes={name: by_label[label] for label, name in enumerate(part.classes)},
        with_lesions=sum(bool(listed.lesions) for listed in part.slices) if lesions else None,
        # By listed name, which is known without reading the file, although its content may be of another type.
        kinds=_counted([os.path.splitext(listed.rel_path)[1].lower() for listed in part.slices]),
        sizes=_counted([f'{fact.width} x {fact.height}' for fact in whole]) if facts is not None else None,
        depths=_counted([str(fact.depth) for fact in whole]) if facts is not None else None,
    )


def check_counts(parts: Sequence[Part]) -> list[Finding]:
    """Find classes without slices, or lesion classes without lesions."""
    findings = []
    for part in parts:
        row = describe(part, None)
        empty = [name for name, number in row['classes'].items() if not number]
        if empty:
            noun = 'lesion' if part.task == SEGMENTATION else 'slice'
            counts = ', '.join(f'{name} {number}' for name, number in row['classes'].items())
            consequence = 'the model cannot learn it' if part.split == 'train' else 'its scores are meaningless'
            message = f'{part.name} has no {noun} of {" and ".join(empty)} ({counts}): {consequence}'
            findings.append(Finding('class-counts', message, empty))
    return findings


def describe_in_words(row: Mapping[str, Any]) -> str:
    """Summarise the counts of :func:`describe` in one line."""
    classes = ', '.join(f'{name} {number}' for name, number in row['classes'].items())
    words = [f'{row["name"]}: {plural(row["num"], "slice")}']
    if row['with_lesions'] is not None:
        words[0] += f', {row["with_lesions"]} with lesions ({classes})'
    elif classes:
        words[0] += f' ({classes})'
    words.append('patients unknown' if row['patients'] is None else plural(row['patients'], 'patient'))
    if row['scans'] is not None:
        words.append(plural(row['scans'], 'scan'))
    words.append(' and '.join(kind or 'no extension' for kind in row['kinds']))
    if row['sizes']:
        words.append(' and '.join(row['sizes']) if len(row['sizes']) < 3 else f'{len(row["sizes"])} sizes')
        words.append(' and '.join(row['depths']) + ' bit')
    return ', '.join(words)


def _counted(values: Sequence[str]) -> dict[str, int]:
    """Count strings, most frequent first."""
    return dict(Counter(sorted(values)).most_common())
