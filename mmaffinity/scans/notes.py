"""Notes for readers of a result: which are serious, and one line for what many slices have in common."""
import re
from collections.abc import Iterable

WARNING = 'warning: '  # starts a note that may change what a result is worth; tools show it in full
MAX_KINDS = 100  # of notes kept apart, so that a hostile scan cannot fill memory
_NUMBER = re.compile(r'[-+]?\d[\d.,]*(?:e[-+]?\d+)?')


class SliceNotes:
    """Counts notes of slices; those that differ only in their numbers are one kind. Memory does not grow with slices."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[str, str, int, bool]] = {}  # first text, first slice, how often, always the same text

    def add(self, name: str, notes: Iterable[str]) -> None:
        """Count the notes of one slice.

        Args:
            name: of the slice.
            notes: on it.
        """
        for note in dict.fromkeys(notes):
            kind = _NUMBER.sub('#', note)
            if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
                kind = note = 'further notes are in prediction.json, with the slices'
            text, first, count, same = self._kinds.get(kind, (note, name, 0, True))
            self._kinds[kind] = text, first, count + 1, same and text == note

    def lines(self, num_slices: int, unit: str = 'slices') -> list[str]:
        """One line for each kind of note.

        Args:
            num_slices: how many slices there are, with and without notes.
            unit: what they are called.

        Returns:
            The note as it stands where it is the same for all slices; else that of the first slice, and how many have one.
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
