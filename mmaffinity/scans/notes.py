"""Notes for readers of a result: warnings, and one line per kind of note across slices."""

import re
from collections.abc import Iterable

WARNING = 'warning: '  # prefix of notes that may affect the validity of a result; commands show them in full
MAX_KINDS = 100  # of notes kept separately, so that a hostile scan cannot fill memory
_NUMBER = re.compile(r'[-+]?\d[\d.,]*(?:e[-+]?\d+)?')


class SliceNotes:
    """Count notes of slices in constant memory; notes that differ only in numbers are of one kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[str, str, int, bool]] = {}  # first text and slice, count, whether all equal

    def add(self, name: str, notes: Iterable[str]) -> None:
        """Count the notes of one slice.

        Args:
            name: name of the slice.
            notes: its notes.
        """
        for note in dict.fromkeys(notes):
            kind = _NUMBER.sub('#', note)
            if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
                kind = note = 'further notes are in prediction.json, with the slices'
            text, first, count, same = self._kinds.get(kind, (note, name, 0, True))
            self._kinds[kind] = text, first, count + 1, same and text == note

    def lines(self, num_slices: int, unit: str = 'slices') -> list[str]:
        """Return one line for each kind of note.

        Args:
            num_slices: number of slices, with and without notes.
            unit: what they are called in the line.

        Returns:
            The note itself if all slices share it; otherwise the first slice's note and the number of slices.
        """
        lines = []
        for text, first, count, same in self._kinds.values():
            if count == num_slices and same:
                lines.append(text)
            elif count == 1:
                lines.append(f'{text} ({first})')
            else:
                lines.append(f'{text} ({count} of {num_slices} {unit}; this is {first})')
        return lines
