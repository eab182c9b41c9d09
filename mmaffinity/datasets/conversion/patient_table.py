"""Patients of slices from a CSV file."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmaffinity.utils.wording import first_few

from ..folder_listing import EXTENSIONS


@dataclass(frozen=True)
class PatientTable:
    """A CSV file with a row per slice.

    Attributes:
        path: the file, in UTF-8, separated by commas, semicolons or tabs, with a header.
        image_column: the column that names slices, with or without folders and extension.
        patient_column: the column that names patients.
    """

    path: str
    image_column: str
    patient_column: str

    def patients_of(self, names: Iterable[str]) -> dict[str, str]:
        """Look slices up: by their whole names, or without folders where that is unique in the file and among the slices.

        Args:
            names: of the slices, with forward slashes.

        Returns:
            The patients of the slices that have one.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no such table, names two patients for one slice, or knows none of the slices.
        """
        patients = self._read()
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
                f'the slices ({first_few(list(keys))})'
            )
        return found

    def _read(self) -> dict[str, str]:
        """Patients by the key of a slice."""
        path = Path(self.path)
        if not path.is_file():
            raise FileNotFoundError(f'the patient table {path} does not exist')
        try:
            lines = path.read_text('utf-8-sig').splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f'{path} is not UTF-8 text: {error}; save it as CSV in UTF-8') from error
        rows = csv.DictReader(lines, delimiter=max(',;\t', key=(lines or [''])[0].count))
        columns = rows.fieldnames or []
        for column in (self.image_column, self.patient_column):
            if column not in columns:
                raise ValueError(f'{path} has no column {column!r}; it has {", ".join(columns) or "none"}')
        patients: dict[str, str] = {}
        for row in rows:
            image, patient = ((row[column] or '').strip() for column in (self.image_column, self.patient_column))
            if image and patient and patients.setdefault(_key(image), patient) != patient:
                raise ValueError(
                    f'line {rows.line_num} of {path} gives the patient {patient!r} for {image}, but an earlier '
                    f'line gives {patients[_key(image)]!r}: correct the table'
                )
        if not patients:
            raise ValueError(f'{path} has no row with both a {self.image_column!r} and a {self.patient_column!r}')
        return patients


def _key(name: str) -> str:
    """A slice's name with forward slashes, without the extension of an image."""
    name = name.replace('\\', '/').removeprefix('./')
    return next((name[: -len(suffix)] for suffix in EXTENSIONS if name.lower().endswith(suffix)), name)


def _stem(key: str) -> str:
    return key.rpartition('/')[2]
