"""Duplicate pictures under different names: equal or nearly equal pixels."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mmaffinity.structures import CLASSIFICATION
from mmaffinity.utils.wording import first_few, plural

from .findings import Finding
from .image_facts import FileFacts
from .near import Near, Thumbnails
from .parts import ListedSlice, Part, same_file_key

MAX_PAIRS = 100_000  # of near-identical slices per pair of splits; more still make one finding


class _Picture(NamedTuple):
    part: Part
    listed: ListedSlice
    facts: FileFacts

    @property
    def name(self) -> str:
        return f'{self.part.split}: {self.listed.rel_path}'


def check_duplicates(parts: Sequence[Part], facts: Mapping[str, FileFacts], near: Near | None = None) -> list[Finding]:
    """Compare pictures across splits, and labels of equal pictures.

    Pictures with a single grey level are left out: they are all equal, and are a separate finding.

    Args:
        parts: the data sets.
        facts: facts of every file, by the slice's path.
        near: criteria for nearly identical pictures.
    """
    near = near or Near()
    pictures = [
        _Picture(part, listed, facts[listed.path])
        for part in parts
        for listed in part.slices
        if facts[listed.path].error is None and facts[listed.path].thumb is not None
    ]
    by_pixels: dict[str, list[_Picture]] = defaultdict(list)
    for picture in pictures:
        by_pixels[picture.facts.pixels].append(picture)
    groups = [group for group in by_pixels.values() if len(group) > 1]
    return [*_check_identical(groups), *_check_repeated(groups), *_check_labels(groups), *_check_near(pictures, near)]


def _check_identical(groups: Sequence[Sequence[_Picture]]) -> list[Finding]:
    pairs: dict[tuple[str, str], list[tuple[_Picture, _Picture]]] = defaultdict(list)
    for group in groups:
        by_split: dict[str, list[_Picture]] = defaultdict(list)
        for picture in group:
            by_split[picture.part.split].append(picture)
        for one, other in combinations(by_split, 2):
            # One file in both lists is a separate finding; this concerns pictures under two names.
            match = next(
                (
                    (a, b)
                    for a in by_split[one]
                    for b in by_split[other]
                    if same_file_key(a.listed.path) != same_file_key(b.listed.path)
                ),
                None,
            )
            if match is not None:
                pairs[one, other].append(match)
    findings = []
    for (one, other), matches in pairs.items():
        names = [f'{a.listed.rel_path} = {b.listed.rel_path}' for a, b in matches]
        findings.append(
            Finding(
                'identical-slices',
                f'{plural(len(matches), "picture", "is")} in both {one} and {other} under different names, '
                f'pixel for pixel ({first_few(names)}): take them out of one of the two, or accept it with '
                '--allow identical-slices',
                len(matches),
                [{one: a.listed.rel_path, other: b.listed.rel_path} for a, b in matches],
            )
        )
    return findings


def _check_repeated(groups: Sequence[Sequence[_Picture]]) -> list[Finding]:
    repeated: dict[tuple[str, str | None], list[list[_Picture]]] = defaultdict(list)
    for group in groups:
        # A slice with lesion masks and a label is correctly listed once per task.
        by_use: dict[tuple[str, str | None], list[_Picture]] = defaultdict(list)
        for picture in group:
            by_use[picture.part.split, picture.part.task].append(picture)
        for use, members in by_use.items():
            if len(members) > 1:
                repeated[use].append(members)
    findings = []
    for (split, task), sets in repeated.items():
        names = [' = '.join(picture.listed.rel_path for picture in members[:2]) for members in sets]
        findings.append(
            Finding(
                'repeated-slices',
                f'{plural(len(sets), "picture", "is")} more than once among the {task or "other"} slices of '
                f'{split} ({first_few(names)}): they count more than others',
                len(sets),
                [[picture.listed.rel_path for picture in members] for members in sets],
            )
        )
    return findings


def _check_labels(groups: Sequence[Sequence[_Picture]]) -> list[Finding]:
    items, names = [], []
    for group in groups:
        by_label: dict[str, _Picture] = {}
        for picture in group:
            if picture.part.task == CLASSIFICATION and picture.listed.label is not None:
                by_label.setdefault(_class_of(picture), picture)
        if len(by_label) > 1:
            items.append({label: picture.name for label, picture in by_label.items()})
            names.append(' and '.join(f'{label} in {picture.name}' for label, picture in by_label.items()))
    if not items:
        return []
    return [
        Finding(
            'conflicting-labels',
            f'{plural(len(items), "picture", "has")} two labels ({first_few(names, 2)}): correct the list',
            len(items),
            items,
        )
    ]


def _class_of(picture: _Picture) -> str:
    label, classes = picture.listed.label, picture.part.classes
    return classes[label] if label is not None and label < len(classes) else str(label)


def _check_near(pictures: Sequence[_Picture], near: Near) -> list[Finding]:
    by_split: dict[str, list[_Picture]] = defaultdict(list)
    for picture in pictures:
        by_split[picture.part.split].append(picture)
    thumbs = {split: Thumbnails([picture.facts for picture in members]) for split, members in by_split.items()}
    numbers = {digest: number for number, digest in enumerate(dict.fromkeys(picture.facts.pixels for picture in pictures))}
    pixels = {split: np.array([numbers[picture.facts.pixels] for picture in members]) for split, members in by_split.items()}
    findings = []
    for one, other in combinations(by_split, 2):

        def differ(left: np.ndarray, right: np.ndarray, one: str = one, other: str = other) -> np.ndarray:
            return pixels[one][left] != pixels[other][right]

        pairs, cut = thumbs[one].near(thumbs[other], near, differ, MAX_PAIRS)
        if not len(pairs):
            continue
        items = [
            {
                one: by_split[one][a].listed.rel_path,
                other: by_split[other][b].listed.rel_path,
                'bits': int(bits),
                'correlation': round(float(thumbs[one].values[a] @ thumbs[other].values[b]), 4),
            }
            for a, b, bits in pairs
        ]
        # Most similar first, because those are looked at.
        items.sort(key=lambda item: (-item['correlation'], item['bits']))
        names = [f'{item[one]} ~ {item[other]}' for item in items]
        findings.append(
            Finding(
                'near-identical-slices',
                f'{"at least " if cut else ""}{plural(len(pairs), "pair")} of nearly identical pictures '
                f'across {one} and {other}: {plural(len(set(pairs[:, 0].tolist())), "slice")} of {one}, '
                f'{len(set(pairs[:, 1].tolist()))} of {other} ({first_few(names)}). They may be copies, or neighbours in one '
                'scan: look at them',
                len(pairs),
                items,
            )
        )
    return findings
