"""Which folder below the output folder belongs to which scan, and which picture in it to which slice."""
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
    """Names the folders of scans: a scan finds its own again at every run, whatever other scans come or go.

    Args:
        out: the output folder, with the results of earlier runs in it or not.
    """

    def __init__(self, out: OutputFolder) -> None:
        self._earlier: dict[str, str] = {}
        self._taken: set[str] = set()  # in lower case, as some file systems know no other
        self._given: set[str] = set()
        for path in sorted(out.root.glob(f'*/{JOURNAL}')):
            self._taken.add(path.parent.name.lower())
            try:
                with open(path, encoding='ascii') as file:
                    self._earlier[str(json.loads(file.readline())['settings']['source'])] = path.parent.name
            except (OSError, ValueError, KeyError, TypeError):
                continue  # no journal of ours, or cut in its first line: nobody's results

    def of(self, scan: Scan) -> tuple[str, str]:
        """Folder of a scan, and the identity that its journal keeps: the scan's own, numbered where it comes again."""
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
    """File name of a slice's picture: its number in the scan, its file and a mark that no other slice has."""
    base = record.name.replace('\\', '/').rsplit('/', 1)[-1].removesuffix('.png')
    return f'{record.index:04d}_{safe_name(base, record.name)}.png'


def renumber_pictures(out: OutputFolder, folder: str,
                      records: Iterable[SliceRecord | Problem]) -> Iterator[SliceRecord | Problem]:
    """Give the pictures of an earlier run the numbers that their slices have now, and remove those of no slice.

    Args:
        out, folder: where the scan's results are.
        records: what is known of the scan, with its present numbers.

    Yields:
        ``records``; all must be taken for the work to be done. Interrupted, it can be begun again.
    """
    place = out.path(folder, OVERLAYS_FOLDER)
    # What follows the number belongs to one slice only, so that no two pictures ever want the same name.
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
