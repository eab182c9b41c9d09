"""Reading of the published slice lists: COVIDx-CT version 1, the author's samples of it, segmentation, iCTCF."""

import os
import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple, TypeVar

from mmaffinity.utils.wording import plural

PathLike = str | os.PathLike
Row = TypeVar('Row', bound=Hashable)

CNCB_CLASSES = ('Normal', 'CP', 'COVID-19')
CNCB_FOLDERS = ('Normal', 'CP', 'NCP')  # folders of the raw data by label
ICTCF_CLASSES = ('Negative', 'COVID-19')

# Names of patients, scans and slices become paths, so only letters, digits and '-' are accepted.
_NAME = r'([0-9A-Za-z-]+)'
_COVIDX = re.compile(rf'(NCP|CP|Normal)_{_NAME}_{_NAME}_{_NAME}\.(?:png|jpe?g)\s+([0-9])(?:(?:\s+-?[0-9]+){{4}})?')
_PUBLISHED = re.compile(rf'([012])_{_NAME}_{_NAME}_{_NAME}\.(?:png|jpe?g)')
_LESION = re.compile(rf'{_NAME}_{_NAME}\.(?:png|jpe?g)')
_ICTCF = re.compile(r'([02])_([np])CT([0-9]+)\.jpg')


class CncbSlice(NamedTuple):
    """A slice of CNCB-NCOV's classification data, ``<folder>/<patient>/<scan>/<name>.{png,jpg}``."""

    label: int
    patient: str
    scan: str
    name: str

    @property
    def folder(self) -> str:
        return f'{CNCB_FOLDERS[self.label]}/{self.patient}/{self.scan}'

    @property
    def flat_name(self) -> str:
        """Name without suffix in COVIDx-CT's flat image folders."""
        return f'{CNCB_FOLDERS[self.label]}_{self.patient}_{self.scan}_{self.name}'


class LesionSlice(NamedTuple):
    """A slice of CNCB-NCOV's segmentation data, ``ct_lesion_seg/image/<patient>/<name>.jpg``."""

    patient: str
    name: str


class IctcfSlice(NamedTuple):
    """A slice of iCTCF, ``nCT/nCT<number>.jpg`` or ``pCT/pCT<number>.jpg``."""

    label: int
    number: str

    @property
    def folder(self) -> str:
        return 'pCT' if self.label else 'nCT'


def parse_covidx_list(path: PathLike) -> list[CncbSlice]:
    """Read a list of COVIDx-CT version 1, see :func:`parse_rows`; body boxes are ignored: the models see whole slices."""

    def build(token: str, patient: str, scan: str, name: str, digit: str) -> CncbSlice:
        label = CNCB_FOLDERS.index(token)
        if int(digit) != label:
            raise ValueError(f'its label is {digit}, but {token} has label {label}')
        return CncbSlice(label, patient, scan, name)

    form = '"<class>_<patient>_<scan>_<slice>.png label xmin ymin xmax ymax" with class NCP, CP or Normal'
    return parse_rows(path, _COVIDX, form, build)


def parse_published_list(path: PathLike) -> list[CncbSlice]:
    """Read the author's list of classification slices, see :func:`parse_rows`."""
    form = '"<label>_<patient>_<scan>_<slice>.png" with label 0, 1 or 2'
    return parse_rows(path, _PUBLISHED, form, lambda label, *names: CncbSlice(int(label), *names))


def parse_segmentation_list(path: PathLike) -> list[LesionSlice]:
    """Read one of the author's segmentation lists, see :func:`parse_rows`."""
    return parse_rows(path, _LESION, '"<patient>_<slice>.jpg"', LesionSlice)


def parse_ictcf_list(path: PathLike) -> list[IctcfSlice]:
    """Read one of the author's iCTCF lists, see :func:`parse_rows`; prefix 0 is negative (label 0), 2 is COVID-19 (label 1)."""

    def build(prefix: str, letter: str, number: str) -> IctcfSlice:
        if (prefix == '2') != (letter == 'p'):
            raise ValueError(f'prefix {prefix} and {letter}CT contradict each other (0 belongs to nCT, 2 to pCT)')
        return IctcfSlice(int(letter == 'p'), number)

    return parse_rows(path, _ICTCF, '"0_nCT<n>.jpg" or "2_pCT<n>.jpg"', build)


def parse_rows(path: PathLike, pattern: re.Pattern, form: str, build: Callable[..., Row]) -> list[Row]:
    """Read every non-empty line of a list.

    Args:
        path: the list.
        pattern: pattern that each line must match.
        form: description of a line's format, for errors.
        build: turns the groups of the pattern into a row; its ValueError describes the problem. Equal rows are the same slice.

    Returns:
        The rows in the order of the lines.

    Raises:
        FileNotFoundError: if the list does not exist.
        ValueError: if a row is invalid or occurs twice, or there are none.
    """
    rows: dict[Row, int] = {}
    bad: list[tuple[int, str, str]] = []
    lines = read_lines(path, 'the list', 'correct the path, or download the list again (see docs/data.md)')
    for number, text in enumerate(map(str.strip, lines), 1):
        if not text:
            continue
        try:
            match = pattern.fullmatch(text)
            if match is None:
                raise ValueError(f'it does not have the form {form}')
            row = build(*match.groups())
        except ValueError as error:
            bad.append((number, text, str(error)))
            continue
        first = rows.setdefault(row, number)
        if first != number:
            raise ValueError(
                f'{path}, line {number}: {text[:80]!r} repeats the slice of line {first}; delete one of the two rows'
            )
    if bad:
        number, text, reason = bad[0]
        others = f' ({plural(len(bad) - 1, "other row", "is")} invalid too)' if len(bad) > 1 else ''
        raise ValueError(
            f'{path}, line {number}: {text[:80]!r} is invalid: {reason}{others}; correct the row or download the list again'
        )
    if not rows:
        raise ValueError(f'{path} has no rows; download the list again')
    return list(rows)


def read_lines(path: PathLike, what: str, remedy: str) -> list[str]:
    """Read the lines of a UTF-8 text file, with or without a byte order mark, with any line endings.

    Args:
        path: the file.
        what: what the file is, for errors.
        remedy: how to get or choose the right file, for errors.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it cannot be read as text.
    """
    try:
        return Path(path).read_text('utf-8-sig').split('\n')
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f'{what} {path} does not exist: {remedy}') from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'{what} {path} cannot be read as UTF-8 text ({error}): {remedy}') from error
