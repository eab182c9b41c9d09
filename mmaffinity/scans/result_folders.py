"""Assign output folders to scans and pictures to slices."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .items import Problem, Scan
from .journal import JOURNAL
from .output_folder import OutputFolder, safe_name
from .records import SliceRecord

OVERLAYS_FOLDER = 'overlays'


class ResultFolders:
    """Assign folders to scans; a scan keeps its folder across runs, whatever other scans are added or removed.

    Args:
        out: the output folder, with or without results of earlier runs.
    """

    def __init__(self, out: OutputFolder) -> None:
        self._earlier: dict[str, str] = {}
        # In lower case, because some file systems ignore case. The files about all scans have these names.
        self._taken = {'report.json', 'slices.csv', 'lesions.json'}
        self._given: set[str] = set()
        for path in sorted(out.root.glob(f'*/{JOURNAL}')):
            self._taken.add(path.parent.name.lower())
            try:
                with open(path, encoding='ascii') as file:
                    self._earlier[str(json.loads(file.readline())['settings']['source'])] = path.parent.name
            except (OSError, ValueError, KeyError, TypeError):
                continue  # not our journal, or truncated in its first line: no results

    def of(self, scan: Scan) -> tuple[str, str]:
        """Return a scan's folder and the identity stored in its journal: the scan's own, numbered if it recurs."""
        identity, number = scan.identity, 1
        while identity in self._given:
            number += 1
            identity = f'{scan.identity}|{number}'
        self._given.add(identity)
        name = self._earlier.get(identity)
        if name is None:
            name, number = safe_name(scan.info.name), 1
            while name.lower() in self._taken:
                name = safe_name(scan.info.name, identity if number == 1 else f'{identity}|{number}')
                number += 1
            self._taken.add(name.lower())
        return name, identity


def picture_name(record: SliceRecord) -> str:
    """Return the file name of a slice's picture: its index in the scan, its file name and a unique suffix."""
    base = record.name.replace('\\', '/').rsplit('/', 1)[-1].removesuffix('.png')
    return f'{record.index:04d}_{safe_name(base, record.name)}.png'


def renumber_pictures(
    out: OutputFolder, folder: str, records: Iterable[SliceRecord | Problem]
) -> Iterator[SliceRecord | Problem]:
    """Renumber the pictures of an earlier run to the current slice numbers, and remove those without a slice.

    Args:
        out, folder: location of the scan's results.
        records: records of the scan with current numbers.

    Yields:
        ``records``, which must be exhausted to finish the renaming. An interrupted call can be repeated.
    """
    place = out.path(folder, OVERLAYS_FOLDER)
    # The part after the number is unique to a slice, so renamed pictures cannot collide.
    pictures = {found[1]: found[0] for found in map(re.compile(r'\d{4,}(_.+\.png)').fullmatch, _names(place)) if found}
    for record in records:
        if isinstance(record, SliceRecord):
            name = picture_name(record)
            there = pictures.pop(name.lstrip('0123456789'), name)
            if there != name:
                (place / there).rename(place / name)
        yield record
    for name in pictures.values():
        (place / name).unlink(missing_ok=True)


def _names(place: Path) -> list[str]:
    return [path.name for path in place.iterdir()] if place.is_dir() else []
