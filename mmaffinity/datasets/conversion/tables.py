"""Reading of CSV tables: columns by name, and the patients of slices."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mmaffinity.utils.wording import first_few

from ..folder_listing import EXTENSIONS
from .lists import PathLike, read_lines


def read_table(path: PathLike, columns: Sequence[str], what: str, remedy: str) -> Iterator[tuple[int, list[str]]]:
    """Yield, for each row of a CSV file, the line number and the stripped values of some columns.

    Args:
        path: the file, in UTF-8, with a header, separated by commas, semicolons or tabs.
        columns: names of the columns; case is ignored.
        what: what the file is, for errors.
        remedy: how to get or choose the right file, for errors.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a CSV file in UTF-8, or lacks a column.
    """
    lines = read_lines(path, what, remedy)
    rows = csv.DictReader(lines, delimiter=max(',;\t', key=lines[0].count))
    try:
        there = rows.fieldnames or []
        names = {**{name.strip().lower(): name for name in there}, **{name: name for name in there}}
        for column in columns:
            if column not in names and column.lower() not in names:
                raise ValueError(f'{what} {path} has no column {column!r}; it has {", ".join(there) or "none"}: {remedy}')
        keys = [names.get(column, names.get(column.lower(), '')) for column in columns]
        for row in rows:
            yield rows.line_num, [(row[key] or '').strip() for key in keys]
    except csv.Error as error:
        raise ValueError(f'{what} {path} is not a CSV file ({error}): {remedy}') from error


@dataclass(frozen=True)
class PatientTable:
    """A CSV file with one row per slice, see :func:`read_table`.

    Attributes:
        path: the file.
        image_column: name of the column of slice names, with or without folders and extension.
        patient_column: name of the column of patients.
    """

    path: str
    image_column: str
    patient_column: str

    def patients_of(self, names: Iterable[str]) -> dict[str, str]:
        """Look up slices by full name, or by name without folders if that is unique in the file and among the slices.

        Args:
            names: names of the slices, with forward slashes.

        Returns:
            The patient of each slice found in the table, by name.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if it is not such a table, assigns two patients to a slice, or contains none of the slices.
        """
        patients: dict[str, str] = {}
        columns = self.image_column, self.patient_column
        for line, (image, patient) in read_table(self.path, columns, 'the patient table', 'correct --patients'):
            if image and patient and patients.setdefault(_key(image), patient) != patient:
                raise ValueError(
                    f'line {line} of {self.path} assigns {image} to the patient {patient!r}, but an earlier line to '
                    f'{patients[_key(image)]!r}: correct the table'
                )
        if not patients:
            raise ValueError(
                f'{self.path} has no row with both a {self.image_column!r} and a {self.patient_column!r}: correct --patients'
            )
        by_stem: dict[str, list[str]] = defaultdict(list)
        for key, patient in patients.items():
            by_stem[_stem(key)].append(patient)
        keys = {name: _key(name) for name in names}
        stems = Counter(_stem(key) for key in keys.values())
        found = {}
        for name, key in keys.items():
            if key in patients:
                found[name] = patients[key]
            elif stems[_stem(key)] == 1 and len(by_stem[_stem(key)]) == 1:
                (found[name],) = by_stem[_stem(key)]
        if not found:
            raise ValueError(
                f'the column {self.image_column!r} of {self.path} ({first_few(list(patients))}) contains none of '
                f'the slices ({first_few(list(keys))}): correct --patients'
            )
        return found


def _key(name: str) -> str:
    """Return a slice's name with forward slashes and without image extension."""
    name = name.replace('\\', '/').removeprefix('./')
    return next((name[: -len(suffix)] for suffix in EXTENSIONS if name.lower().endswith(suffix)), name)


def _stem(key: str) -> str:
    return key.rpartition('/')[2]
