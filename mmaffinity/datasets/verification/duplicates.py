"""Duplicate images under different names: identical or near-identical pixels."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mmaffinity.structures import CLASSIFICATION
from mmaffinity.utils.wording import first_few, plural

from .findings import Finding, findings_of
from .image_facts import FileFacts
from .near import Near, Thumbnails
from .parts import ListedSlice, Part, same_file_key

MAX_PAIRS = 100_000  # largest number of near-identical pairs per pair of splits
Item = TypeVar('Item')


class _Picture(NamedTuple):
    part: Part
    listed: ListedSlice
    facts: FileFacts

    @property
    def name(self) -> str:
        return f'{self.part.split}: {self.listed.rel_path}'

    @property
    def class_name(self) -> str | None:
        """The class of a labelled slice."""
        label, classes = self.listed.label, self.part.classes
        if self.part.task != CLASSIFICATION or label is None:
            return None
        return classes[label] if label < len(classes) else str(label)


def check_duplicates(parts: Sequence[Part], facts: Mapping[str, FileFacts], near: Near | None = None) -> list[Finding]:
    """Compare images across splits, and the labels of identical images.

    Blank images, with a single grey level, are omitted: they have a finding of their own.

    Args:
        parts: the data sets.
        facts: facts of every file, by the slice's path.
        near: criteria for near-identical images.
    """
    pictures = [
        _Picture(part, listed, facts[listed.path])
        for part in parts
        for listed in part.slices
        if facts[listed.path].error is None and facts[listed.path].thumb is not None
    ]
    groups = [group for group in _grouped(pictures, lambda picture: picture.facts.pixels).values() if len(group) > 1]
    return [
        *_check_identical(groups),
        *_check_repeated(groups),
        *_check_labels(groups),
        *_check_near(pictures, near or Near()),
    ]


def _grouped(items: Sequence[Item], key_of: Callable[[Item], Any]) -> dict[Any, list[Item]]:
    groups: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        groups[key_of(item)].append(item)
    return groups


def _split_of(picture: _Picture) -> str:
    return picture.part.split


def _check_identical(groups: Sequence[Sequence[_Picture]]) -> Iterator[Finding]:
    cases: dict[tuple[str, str], list[tuple[str, Any]]] = defaultdict(list)
    for group in groups:
        for (one, left), (other, right) in combinations(_grouped(group, _split_of).items(), 2):
            # One file in both lists is a separate finding; this one is about images under two names.
            pairs = ((a.listed, b.listed) for a in left for b in right)
            a, b = next((pair for pair in pairs if len({same_file_key(slice_.path) for slice_ in pair}) == 2), (None, None))
            if a and b:
                cases[one, other].append((f'{a.rel_path} = {b.rel_path}', {one: a.rel_path, other: b.rel_path}))
    for (one, other), found in cases.items():
        yield from findings_of(
            'identical-slices',
            found,
            'image',
            'is',
            f'in both {one} and {other} under different names, with identical pixels',
            ': remove them from one split, or accept this with --allow identical-slices',
        )


def _check_repeated(groups: Sequence[Sequence[_Picture]]) -> Iterator[Finding]:
    cases: dict[tuple[str, str | None], list[tuple[str, Any]]] = defaultdict(list)
    for group in groups:
        # A slice with lesion masks and a label is correctly listed once per task.
        for use, members in _grouped(group, lambda picture: (picture.part.split, picture.part.task)).items():
            if len(members) > 1:
                names = [picture.listed.rel_path for picture in members]
                cases[use].append((' = '.join(names[:2]), names))
    for (split, task), found in cases.items():
        yield from findings_of(
            'repeated-slices',
            found,
            'image',
            'is',
            f'listed more than once among the {task or "other"} slices of {split}',
            ' and counted as often: remove the repeats',
        )


def _check_labels(groups: Sequence[Sequence[_Picture]]) -> list[Finding]:
    cases = []
    for group in groups:
        by_class = _grouped([picture for picture in group if picture.class_name is not None], lambda one: one.class_name)
        names = {class_name: pictures[0].name for class_name, pictures in by_class.items()}
        if len(names) > 1:
            cases.append((' and '.join(f'{class_name} in {name}' for class_name, name in names.items()), names))
    return findings_of('conflicting-labels', cases, 'image', 'has', 'two labels', ': correct the list')


def _check_near(pictures: Sequence[_Picture], near: Near) -> Iterator[Finding]:
    numbers = {digest: number for number, digest in enumerate(dict.fromkeys(picture.facts.pixels for picture in pictures))}
    by_split = _grouped(pictures, _split_of)
    thumbs = {split: Thumbnails([picture.facts for picture in members]) for split, members in by_split.items()}
    pixels = {split: np.array([numbers[picture.facts.pixels] for picture in members]) for split, members in by_split.items()}
    for one, other in combinations(by_split, 2):

        def differ(left: np.ndarray, right: np.ndarray, one: str = one, other: str = other) -> np.ndarray:
            return pixels[one][left] != pixels[other][right]

        pairs = thumbs[one].near(thumbs[other], near, differ, MAX_PAIRS)
        items = [
            {
                one: by_split[one][a].listed.rel_path,
                other: by_split[other][b].listed.rel_path,
                'bits': int(bits),
                'correlation': round(float(correlation), 4),
            }
            for (a, b), bits, correlation in zip(pairs.places, pairs.bits, pairs.correlations, strict=True)
        ]
        # Most similar first, because users inspect the first few.
        items.sort(key=lambda item: (-item['correlation'], item['bits']))
        left, right = (len(set(side)) for side in pairs.places.T.tolist())
        if items:
            yield Finding(
                'near-identical-slices',
                f'{"at least " if pairs.cut else ""}{plural(len(items), "pair")} of near-identical images across {one} '
                f'and {other}: {plural(left, "slice")} of {one}, {right} of {other} '
                f'({first_few([f"{item[one]} ~ {item[other]}" for item in items])}). They may be copies or neighbouring '
                'slices of one scan: inspect them',
                items,
            )
