"""Reading of COVIDx-CT's lists and metadata; slice names encode source, patient and scan."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .lists import CNCB_CLASSES, PathLike, parse_rows
from .tables import read_table

FINDINGS = ('Normal', 'Pneumonia', 'COVID-19')  # of metadata.csv, by label
_METADATA_COLUMNS = ('patient id', 'source', 'finding')

_ROW = re.compile(r'(\w[\w.-]*)\.(?:png|jpe?g)\s+(-?[0-9]+)((?:\s+-?[0-9]+){4})?', re.ASCII)
_CNCB_NAME = '[0-9A-Za-z-]+'

# Patterns of names without suffix, by source as named in metadata.csv, from COVIDx-CT's scripts and its sources' archives.
# If a name encodes the class, the group `kind` is a key of _KINDS.
_SOURCES = tuple(
    (source, re.compile(pattern, re.ASCII))
    for source, pattern in (
        ('CNCB', rf'(?P<scan>(?P<patient>(?P<kind>NCP|CP|Normal)_{_CNCB_NAME})_{_CNCB_NAME})_{_CNCB_NAME}'),
        ('COVID-19-CT-Seg', r'(?P<scan>(?P<patient>coronacases_\d+))-\d+'),
        # Case, study, series: cases with two studies or two series are one patient.
        ('COVID-19-CT-Seg', r'(?P<scan>(?P<patient>radiopaedia_\d+)_\d+_\d+)-\d+'),
        # 0383_0 and 0383_1 are two series of patient 0383; _ct marks the volumes of the COVID-19-20 challenge.
        ('TCIA', r'(?P<scan>(?P<patient>volume-covid19-A-\d+)(?:_\d+)?)(?:_ct)?-\d+'),
        ('COVID-CTset', r'(?P<scan>(?:\d+|cd)?(?P<kind>covid|normal)[0-9a-z]*_(?P<patient>patient\d+)_SR_\w+)_IM\w+'),
        ('LIDC-IDRI', r'(?P<scan>(?P<patient>LIDC-IDRI-\d+)-[\d.]+)-\d+'),
        ('radiopaedia.org', r'(?P<scan>(?P<patient>radiopaedia-\d+)-\d+-\d+)-\d+'),
        ('iCTCF', r'(?P<scan>(?P<patient>HUST-Patient\d+))-\d+'),
        ('COVID-CT-MD', r'(?P<scan>(?P<patient>COVIDCTMD-(?P<kind>P|cap|normal)\d+))-IM\d+'),
        ('STOIC', r'(?P<scan>(?P<patient>STOIC-\d+))-\d+'),
        ('Stony Brook', r'(?P<scan>(?P<patient>A\d{6})-[\w.-]+)-\d+'),
        ('MosMedData', r'(?P<scan>(?P<patient>study_\d+))-\d+'),
    )
)
_KINDS = {'Normal': 0, 'CP': 1, 'NCP': 2, 'normal': 0, 'cap': 1, 'P': 2, 'covid': 2}


class SliceName(NamedTuple):
    """What the name of a slice encodes; all None if it matches no known source.

    Attributes:
        source: source, as named in metadata.csv.
        patient: the patient.
        scan: the series, a prefix of the name.
        label: label of the class; None if the name does not encode it.
    """

    source: str | None = None
    patient: str | None = None
    scan: str | None = None
    label: int | None = None


@dataclass(frozen=True)
class CovidxSlice:
    """A row of a list; rows with the same name are the same slice.

    Attributes:
        name: file name without suffix.
        label: 0 Normal, 1 pneumonia, 2 COVID-19.
        box: body box, xmin ymin xmax ymax in pixels, maxima exclusive; None if the row has none.
        origin: what the name encodes.
    """

    name: str
    label: int = field(compare=False)
    box: tuple[int, int, int, int] | None = field(compare=False, default=None)
    origin: SliceName = field(compare=False, default=SliceName())


class PatientMetadata(NamedTuple):
    """Source and finding of a patient in metadata.csv."""

    source: str
    finding: str


def read_name(name: str) -> SliceName:
    """Parse the name of a slice, without suffix."""
    for source, pattern in _SOURCES:
        match = pattern.fullmatch(name)
        if match is not None:
            kind = match.groupdict().get('kind')
            return SliceName(source, match['patient'], match['scan'], None if kind is None else _KINDS[kind])
    return SliceName()


def parse_covidx_ct_list(path: PathLike) -> list[CovidxSlice]:
    """Read a list of any version of COVIDx-CT with rows ``file label xmin ymin xmax ymax``; the box is optional.

    Labels must be 0 to 2 and agree with the name of the slice; boxes must not be empty. See :func:`~.lists.parse_rows`.
    """
    form = '"file label xmin ymin xmax ymax", with whole numbers and a PNG or JPEG file'
    return parse_rows(path, _ROW, form, _build)


def _build(name: str, digits: str, box: str | None) -> CovidxSlice:
    label = int(digits)
    if not 0 <= label < len(CNCB_CLASSES):
        classes = ', '.join(f'{index} {finding}' for index, finding in enumerate(FINDINGS))
        raise ValueError(f'its label is {label}; labels are {classes}')
    origin = read_name(name)
    if origin.label not in (None, label):
        raise ValueError(f'its label is {label}, but its name is that of a slice with label {origin.label}')
    if not box:
        return CovidxSlice(name, label, None, origin)
    xmin, ymin, xmax, ymax = map(int, box.split())
    if not (0 <= xmin < xmax and 0 <= ymin < ymax):
        raise ValueError(
            f'its box {xmin} {ymin} {xmax} {ymax} is not xmin ymin xmax ymax with 0 <= xmin < xmax and 0 <= ymin < ymax'
        )
    return CovidxSlice(name, label, (xmin, ymin, xmax, ymax), origin)


def read_metadata(path: PathLike) -> dict[str, PatientMetadata]:
    """Read metadata.csv, which has one row per patient.

    Returns:
        Source and finding by patient ID.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a CSV file, lacks a column, or lists a patient twice.
    """
    patients: dict[str, PatientMetadata] = {}
    remedy = "pass COVIDx-CT's metadata.csv with --metadata, or omit the option"
    for line, (patient, *known) in read_table(path, _METADATA_COLUMNS, 'the table of patients', remedy):
        if patient in patients:
            raise ValueError(f'{path}, line {line}: patient {patient} occurs twice; delete one of the rows')
        patients[patient] = PatientMetadata(*known)
    return patients


def metadata_id(row: CovidxSlice, metadata: Mapping[str, PatientMetadata]) -> str | None:
    """Return the ID under which metadata.csv lists the patient of a slice, or None.

    It is the patient of :func:`read_name`, unless metadata.csv lists the series (TCIA) or studies (COVID-19-CT-Seg) of a
    patient separately: then it is the longest prefix of the name in metadata.csv.
    """
    if row.origin.patient in metadata:
        return row.origin.patient
    name = row.name
    while name and name not in metadata:
        name = name[: max(name.rfind('-'), name.rfind('_'), 0)]
    return name or None
