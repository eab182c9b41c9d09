"""Patients, scans and files shared by two splits."""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from mmaffinity.utils.wording import first_few, plural

from .findings import Finding
from .parts import ListedSlice, Part, same_file_key

Key = tuple[str, ...]


def check_leakage(parts: Sequence[Part]) -> list[Finding]:
    """Compare the splits of a config by their lists only.

    Patients are compared by their listed names over all data roots. A name under two roots may belong to two persons, which
    only the user can know. If two lists name their patients in ways that cannot coincide, a finding states that leakage cannot
    be excluded.
    """
    findings = [*_check_unknown(parts), *_check_name_spaces(parts)]
    shared = [
        ('shared-patients', 'patient', _patient_of, 'results on the one say nothing about new patients'),
        ('shared-scans', 'scan', _scan_of, 'their slices show the same lungs'),
        ('shared-slices', 'file', _file_of, 'the model is measured on what it was fitted to'),
    ]
    for check, noun, key_of, consequence in shared:
        for (first, one), (second, other) in combinations(_keys_by_split(parts, key_of).items(), 2):
            common = sorted(one.keys() & other.keys())
            if not common:
                continue
            names = [_say(check, key, one[key][0]) for key in common]
            items = [{noun: name, first: len(one[key]), second: len(other[key])} for name, key in zip(names, common)]
            slices = (
                f'{plural(sum(len(one[key]) for key in common), "slice")} of {first}, '
                f'{sum(len(other[key]) for key in common)} of {second}'
            )
            findings.append(
                Finding(
                    check,
                    f'{plural(len(common), noun, "is")} in both {first} and {second} ({slices}), for example '
                    f'{first_few(names)}: {consequence}. Split by patient, or accept it with --allow {check}',
                    len(common),
                    items,
                )
            )
    return findings


def _check_unknown(parts: Sequence[Part]) -> Iterator[Finding]:
    if len({part.split for part in parts}) < 2:
        return
    for part in parts:
        unknown = [listed.rel_path for listed in part.slices if listed.patient is None]
        if unknown:
            share = (
                'names no patient'
                if len(unknown) == len(part.slices)
                else f'names no patient for {len(unknown)} of {plural(len(part.slices), "slice")} ({first_few(unknown)})'
            )
            yield Finding(
                'unknown-patients',
                f'{part.name} {share}: leakage, that is a patient in two splits, cannot be excluded',
                len(unknown),
                [dict(dataset=part.name, slices=len(unknown), of=len(part.slices))],
            )


def _check_name_spaces(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find lists of one data root whose patients cannot be compared, because the names in one have a prefix that no other has.

    The lesion slices of CNCB-NCOV are an example: ``ct_lesion_seg/12`` differs from every ``12`` of the labelled slices, and it
    is unknown whether one of them is the same person.
    """
    roots: dict[str, list[tuple[Part, set[str], str]]] = {}
    for part in parts:
        patients = {listed.patient for listed in part.slices if listed.patient is not None}
        if patients:  # a list without any is reported already
            roots.setdefault(part.root, []).append((part, patients, _name_space(patients)))
    for lists in roots.values():
        pairs = []
        for (first, names, space), (second, other_names, other_space) in combinations(lists, 2):
            lone = [*_lone(space, other_names), *_lone(other_space, names)]
            if first.split != second.split and lone:
                pairs.append(dict(first=first.name, second=second.name, name_spaces=lone))
        if pairs:
            words = [f'between {pair["first"]} and {pair["second"]}' for pair in pairs]
            spaces = sorted({space for pair in pairs for space in pair['name_spaces']})
            yield Finding(
                'unknown-patients',
                'leakage, that is a patient in two splits, cannot be excluded '
                f'{", ".join(words)}: all patients of one list begin with {" or ".join(spaces)} and none of the '
                'other does, so a person who is in both has two names',
                len(pairs),
                pairs,
            )


def _name_space(patients: set[str]) -> str:
    """Return the common prefix of all names up to a slash; '' if there is none."""
    head, slash, _ = os.path.commonprefix(sorted(patients)).rpartition('/')
    return head + slash


def _lone(space: str, others: set[str]) -> list[str]:
    """Return the name space if none of the other list's names is in it."""
    return [space] if space and not any(name.startswith(space) for name in others) else []


def _keys_by_split(
    parts: Sequence[Part], key_of: Callable[[ListedSlice], Key | None]
) -> dict[str, dict[Key, list[ListedSlice]]]:
    """Return the slices of each split by key; those without a key are left out."""
    by_split: dict[str, dict[Key, list[ListedSlice]]] = {}
    for part in parts:
        keys = by_split.setdefault(part.split, {})
        for listed in part.slices:
            key = key_of(listed)
            if key is not None:
                keys.setdefault(key, []).append(listed)
    return by_split


def _patient_of(listed: ListedSlice) -> Key | None:
    return None if listed.patient is None else (listed.patient,)


def _scan_of(listed: ListedSlice) -> Key | None:
    # Some data sets number scans within a patient, so both identify the scan; without a patient, the scan alone does.
    return None if listed.scan is None else (listed.patient or '', listed.scan)


def _file_of(listed: ListedSlice) -> Key:
    return (same_file_key(listed.path),)


def _say(check: str, key: Key, listed: ListedSlice) -> str:
    return listed.rel_path if check == 'shared-slices' else '/'.join(part for part in key if part)
