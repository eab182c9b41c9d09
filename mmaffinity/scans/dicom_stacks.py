"""Group the frames of multi-frame DICOM: separate stacks, phases and reconstructions, and join concatenated files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from .dicom_header import DicomHeader, shared
from .functional_groups import STRICT_TRAITS


def keep_stacks_apart(headers: Iterable[DicomHeader]) -> list[DicomHeader]:
    """Mark each frame with its stack, and note missing parts of a concatenation.

    Frames with a different StackID, kernel, tube voltage, energy, or cardiac or respiratory phase are always separated. Other
    entries, such as TemporalPositionIndex or a dimension defined by the file, may instead count along the body. They separate
    frames only if the slices of one value are interleaved with those of another.

    Args:
        headers: headers of any files.

    Returns:
        The same headers in the same order; those of single slices are unchanged.
    """
    found = list(headers)
    units: dict[tuple, list[int]] = {}
    for at, header in enumerate(found):
        if header.frame is not None:
            series = (header.study_uid, header.series_uid or str(header.path.parent))
            units.setdefault((*series, header.frame.unit), []).append(at)
    for members in units.values():
        notes = _missing_parts([found[at] for at in members])
        stacks = _split(members, found)
        for stack, inside in stacks:
            more = (
                [f'frames with {", ".join(stack)}; the other frames were treated as separate scans'] if len(stacks) > 1 else []
            )
            for at in inside:
                found[at] = replace(found[at], stack=shared(stack), notes=shared((*found[at].notes, *notes, *more)))
    return found


def _split(members: list[int], headers: Sequence[DicomHeader]) -> list[tuple[tuple[str, ...], list[int]]]:
    """Split the frames of a unit into stacks: pairs of their common values and their frames."""
    traits = {at: dict(frame.traits) for at in members if (frame := headers[at].frame) is not None}
    names = dict.fromkeys(name for values in traits.values() for name in values)
    stacks: list[tuple[tuple[str, ...], list[int]]] = [((), members)]
    for name in names:
        divided = []
        for stack, inside in stacks:
            groups: dict[str, list[int]] = {}
            for at in inside:
                groups.setdefault(traits[at].get(name, ''), []).append(at)
            if len(groups) > 1 and (name in STRICT_TRAITS or _interleaved(list(groups.values()), headers)):
                divided += [((*stack, f'{name} {value or "absent"}'), group) for value, group in groups.items()]
            else:
                divided.append((stack, inside))
        stacks = divided
    return stacks


def _interleaved(groups: Sequence[list[int]], headers: Sequence[DicomHeader]) -> bool:
    """Return whether slices of one group are between, or at, those of another; False if the groups average fewer than two."""
    if 2 * len(groups) > sum(map(len, groups)):
        return False
    extents = []
    for group in groups:
        places = [_place(headers[at]) for at in group]
        extents.append((min(places), max(places)))
    extents.sort()
    return any(second[0] <= first[1] for first, second in zip(extents, extents[1:]))


def _place(header: DicomHeader) -> float:
    if header.corner is None:
        return 0.0
    return round(float(np.dot(header.corner, header.normal)), 3)


def _missing_parts(headers: Sequence[DicomHeader]) -> list[str]:
    """Return a note if files of a concatenation are missing."""
    parts = {header.frame.part for header in headers if header.frame is not None}
    numbers = {number for number, _ in parts if number > 0}
    if not numbers:
        return []
    total = max(max(total for _, total in parts), max(numbers))
    missing = total - len(numbers)
    if missing < 1:
        return []
    first = [str(at) for at in range(1, min(total, 1 << 16) + 1) if at not in numbers][:5]
    return [
        f'{missing} of {total} files of a concatenation are missing: number {", ".join(first)}'
        + (', ...' if missing > 5 else '')
    ]
