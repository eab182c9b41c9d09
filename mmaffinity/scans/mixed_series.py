"""Split series in which careless anonymisation gave several patients the same series UID."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mmaffinity.utils.wording import plural

from .dicom_header import SUBJECT, DicomHeader
from .dicom_reading import read_dataset
from .notes import WARNING


@dataclass(frozen=True)
class Part:
    """Slices of one patient.

    Attributes:
        headers: headers of the slices.
        mark: distinguishes the part from the others of its series; empty if the series was not split.
        notes: notes on the split.
    """

    headers: list[DicomHeader]
    mark: str = ''
    notes: tuple[str, ...] = ()


def take_apart(headers: list[DicomHeader]) -> list[Part]:
    """Split the slices of a series by patient, by study date, and by folder if folders repeat slice numbers.

    Files without a value are not separated from the others, unless those have several values.

    Args:
        headers: headers of slices with one series UID, size, orientation and spacing.

    Returns:
        Usually one part; if there are several, each has a note.
    """
    parts = [Part(headers)]
    for at, keyword in enumerate(SUBJECT):
        parts = [new for part in parts for new in _by_subject(part, at, keyword)]
    parts = [new for part in parts for new in _by_folder(part)]
    return [Part(part.headers, part.mark, (*part.notes, *_repeated_numbers(part.headers))) for part in parts]


def _by_subject(part: Part, at: int, keyword: str) -> list[Part]:
    values = {header.subject[at] for header in part.headers if header.subject} - {''}
    if len(values) < 2:
        return [part]
    if 2 * len(values) > len(part.headers):  # as if each slice belonged to another patient
        note = (
            f'{WARNING}{len(part.headers)} slices of one series have {len(values)} different {keyword}s: several patients '
            'in one series? Check how it was anonymised'
        )
        return [Part(part.headers, part.mark, (*part.notes, note))]
    note = (
        f'{WARNING}the files of one series have {len(values)} different {keyword}s and were split: several patients or '
        'visits in one series? Check how it was anonymised'
    )
    return _grouped(part, lambda header: header.subject[at], note)


def _by_folder(part: Part) -> list[Part]:
    """Split by folder if most slice numbers of one recur in another: a single scan numbers slices across its folders."""
    folders: dict[str, set] = {}
    for header in part.headers:
        folders.setdefault(_folder(header), set()).add(header.number)
    repeated = any(
        None not in one | two and 2 * len(one & two) >= min(len(one), len(two))
        for one, two in itertools.combinations(list(folders.values())[:50], 2)
    )
    if not repeated or len(part.headers) < 2 * len(folders):
        return [part]
    note = (
        f'{WARNING}{len(folders)} folders contain slices of one series with the same InstanceNumbers and were split: '
        'several patients or phases under one series UID?'
    )
    return _grouped(part, lambda header: hashlib.sha256(_folder(header).encode()).hexdigest()[:8], note)


def _folder(header: DicomHeader) -> str:
    return header.name.rpartition('/')[0]


def _grouped(part: Part, key: Callable[[DicomHeader], str], note: str) -> list[Part]:
    groups: dict[str, list[DicomHeader]] = {}
    for header in part.headers:
        groups.setdefault(key(header), []).append(header)
    return [Part(members, f'{part.mark}|{value}', (*part.notes, note)) for value, members in groups.items()]


def _repeated_numbers(headers: Sequence[DicomHeader]) -> Iterator[str]:
    counts = Counter(header.number for header in headers if header.number is not None)
    repeated = sum(count > 1 for count in counts.values())
    if repeated and len(counts) > 1:  # equal numbers on all slices carry no information
        yield (
            f'{WARNING}{plural(repeated, "InstanceNumber")} of {len(counts)} occur more than once: several scans or '
            'patients in one series?'
        )


class Copies:
    """Detect duplicate images among files with equal identifiers and positions."""

    def __init__(self) -> None:
        self._first: dict[tuple, DicomHeader] = {}
        self._pixels: dict[tuple, dict[str, DicomHeader]] = {}

    def original(self, key: tuple, header: DicomHeader) -> DicomHeader | None:
        """Return the file that this one duplicates, or None.

        Anonymisation that gives all slices one identifier makes different images look like duplicates, so pixels are compared.
        They are read only if the key recurs.

        Args:
            key: identifiers and position of the slice.
            header: header of the slice.
        """
        first = self._first.setdefault(key, header)
        if first is header:
            return None
        known = self._pixels.setdefault(key, {})
        if not known:
            known[_pixel_digest(first)] = first
        found = known.setdefault(_pixel_digest(header), header)
        return None if found is header else found


def _pixel_digest(header: DicomHeader) -> str:
    try:
        data = header.frame.read() if header.frame else read_dataset(header.path)
        return hashlib.sha256(data.PixelData).hexdigest()
    except (AttributeError, TypeError, ValueError):
        return ''  # unreadable; reading the slice reports why
