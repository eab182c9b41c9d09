"""Patients, scans and files shared by two splits."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from mmaffinity.utils.wording import first_few, plural

from .findings import Finding
from .parts import ListedSlice, Part, same_file_key

Key = tuple[str, ...]
# For each check: the shared thing, and the consequence of sharing it.
_SHARED = {
    'shared-patients': ('patient', 'results do not measure performance on new patients'),
    'shared-scans': ('scan', 'their slices show the same lungs'),
    'shared-slices': ('file', 'the model would be tested on its own training data'),
}


def check_leakage(parts: Sequence[Part]) -> list[Finding]:
    """Compare the splits of a config by their lists only.

    Patients are compared by their listed names across all data roots. The same name under two roots may belong to two people,
    which only the user can know. If two lists name their patients in ways that cannot coincide, a finding states that leakage
    cannot be ruled out.
    """
    findings = [*_check_unknown(parts), *_check_name_spaces(parts)]
    by_split: dict[str, dict[str, dict[Key, list[ListedSlice]]]] = {
        check: {part.split: defaultdict(list) for part in parts} for check in _SHARED
    }
    for part in parts:
        for listed in part.slices:
            for check, key in _keys(listed).items():
                by_split[check][part.split][key].append(listed)
    for check, (noun, consequence) in _SHARED.items():
        for (first, one), (second, other) in combinations(by_split[check].items(), 2):
            common = sorted(one.keys() & other.keys())
            if not common:
                continue
            names = [one[key][0].rel_path if noun == 'file' else '/'.join(filter(None, key)) for key in common]
            counts = [{first: len(one[key]), second: len(other[key])} for key in common]
            slices = f'{plural(sum(count[first] for count in counts), "slice")} of {first}'
            findings.append(
                Finding(
                    check,
                    f'{plural(len(common), noun, "is")} in both {first} and {second} ({slices}, '
                    f'{sum(count[second] for count in counts)} of {second}), for example {first_few(names)}: {consequence}. '
                    f'Split by patient, or accept it with --allow {check}',
                    [{noun: name, **count} for name, count in zip(names, counts, strict=True)],
                )
            )
    return findings


def _keys(listed: ListedSlice) -> dict[str, Key]:
    """Return what identifies a slice's file and, if known, its patient and scan."""
    keys: dict[str, Key] = {'shared-slices': (same_file_key(listed.path),)}
    if listed.patient is not None:
        keys['shared-patients'] = (listed.patient,)
    if listed.scan is not None:
        # Some data sets number scans per patient, so both names identify a scan; without a patient, its own name does.
        keys['shared-scans'] = (listed.patient or '', listed.scan)
    return keys


def _check_unknown(parts: Sequence[Part]) -> Iterator[Finding]:
    if len({part.split for part in parts}) < 2:
        return
    for part in parts:
        unknown = [listed.rel_path for listed in part.slices if listed.patient is None]
        if unknown:
            some = f' for {len(unknown)} of {plural(len(part.slices), "slice")} ({first_few(unknown)})'
            which = '' if len(unknown) == len(part.slices) else some
            yield Finding(
                'unknown-patients',
                f'{part.name} names no patient{which}: leakage (a patient in two splits) cannot be ruled out',
                [dict(dataset=part.name, slices=len(unknown), of=len(part.slices))],
                len(unknown),
            )


def _check_name_spaces(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find lists of one data root whose patients cannot be compared, because all names of one have a prefix of their own.

    The lesion slices of CNCB-NCOV are an example: ``ct_lesion_seg/12`` differs from patient ``12`` of the labelled slices, but
    both may be the same person.
    """
    roots: dict[str, list[tuple[Part, set[str]]]] = defaultdict(list)
    for part in parts:
        patients = {listed.patient for listed in part.slices if listed.patient is not None}
        if patients:  # a list without patients is already reported
            roots[part.root].append((part, patients))
    for lists in roots.values():
        pairs = []
        for (first, names), (second, others) in combinations(lists, 2):
            lone = [*_name_space(names, others), *_name_space(others, names)]
            if first.split != second.split and lone:
                pairs.append(dict(first=first.name, second=second.name, name_spaces=lone))
        if pairs:
            words = [f'between {pair["first"]} and {pair["second"]}' for pair in pairs]
            spaces = sorted({space for pair in pairs for space in pair['name_spaces']})
            yield Finding(
                'unknown-patients',
                f'leakage (a patient in two splits) cannot be ruled out {", ".join(words)}: all patient names of one list '
                f'start with {" or ".join(spaces)} and none of the other do, so a person in both would have two names',
                pairs,
            )


def _name_space(patients: set[str], others: set[str]) -> list[str]:
    """Return the names' common prefix up to a slash, unless there is none or one of the other names shares it."""
    head, slash, _ = os.path.commonprefix(sorted(patients)).rpartition('/')
    return [head + slash] if slash and not any(name.startswith(head + slash) for name in others) else []
