"""A phantom in the layout of COVIDx-CT: a flat image folder, lists with body boxes, metadata.csv."""

from collections.abc import Iterable
from typing import NamedTuple

LISTS = {  # split: list, relative to the phantom's folder
    'covidx_train': 'covidx_ct/train_COVIDx_CT-3A.txt',
    'covidx_val': 'covidx_ct/val_COVIDx_CT-3A.txt',
    'covidx_test': 'covidx_ct/test_COVIDx_CT-3A.txt',
}
IMAGES, METADATA = 'covidx_ct/3A_images', 'covidx_ct/metadata.csv'
_COLUMNS = 'patient id,source,country,sex,age,finding,verified finding,slice selection,view,modality'
_FINDINGS = ('Normal', 'Pneumonia', 'COVID-19')
_SERIES = '1.3.6.1.4.1.14519.5.2.1.6279.6001'


class Naming(NamedTuple):
    """Names of a source's slices, as format strings of the patient number n and the slice index i.

    Attributes:
        source: source, as named in metadata.csv.
        name: name of a slice, without suffix.
        patient: ID of the patient in metadata.csv.
        evaluated: whether the validation and test lists contain slices of this source.
    """

    source: str
    name: str
    patient: str
    evaluated: bool = True


NAMINGS: tuple[tuple[Naming, ...], ...] = (  # by label
    (
        Naming('CNCB', 'Normal_{n}_{n}_{i:04d}', 'Normal_{n}'),
        Naming('COVID-CT-MD', 'COVIDCTMD-normal{n:03d}-IM{i:04d}', 'COVIDCTMD-normal{n:03d}'),
        Naming('COVID-CTset', 'normal1_patient{n}_SR_2_IM{i:05d}', 'patient{n}'),
        Naming('LIDC-IDRI', f'LIDC-IDRI-{{n:04d}}-{_SERIES}.{{n}}-{{i:04d}}', 'LIDC-IDRI-{n:04d}'),
    ),
    (
        Naming('CNCB', 'CP_{n}_{n}_{i:04d}', 'CP_{n}'),
        Naming('COVID-CT-MD', 'COVIDCTMD-cap{n:03d}-IM{i:04d}', 'COVIDCTMD-cap{n:03d}'),
        Naming('radiopaedia.org', 'radiopaedia-{n}-{n}-0-{i:04d}', 'radiopaedia-{n}', False),
    ),
    (
        Naming('CNCB', 'NCP_{n}_{n}_{i:04d}', 'NCP_{n}'),
        Naming('TCIA', 'volume-covid19-A-{n:04d}_ct-{i:04d}', 'volume-covid19-A-{n:04d}'),
        Naming('COVID-CTset', '137covid_patient{n}_SR_2_IM{i:05d}', 'patient{n}'),
        Naming('COVID-CT-MD', 'COVIDCTMD-P{n:03d}-IM{i:04d}', 'COVIDCTMD-P{n:03d}'),
        Naming('COVID-19-CT-Seg', 'radiopaedia_{n}_{n}_0-{i:04d}', 'radiopaedia_{n}_{n}'),
        Naming('COVID-19-CT-Seg', 'coronacases_{n:03d}-{i:04d}', 'coronacases_{n:03d}'),
        Naming('iCTCF', 'HUST-Patient{n}-{i:04d}', 'HUST-Patient{n}', False),
        Naming('STOIC', 'STOIC-{n}-{i:04d}', 'STOIC-{n}', False),
        Naming('Stony Brook', 'A{n:06d}-01-10-1901-NA-CT-CHEST-{n}-2-{i:04d}', 'A{n:06d}', False),
    ),
)


def naming_of(split: str, label: int, number: int) -> Naming:
    """Return the source of a patient; sources alternate by patient number."""
    usable = [naming for naming in NAMINGS[label] if naming.evaluated or split == 'covidx_train']
    return usable[number % len(usable)]


def metadata_csv(patients: Iterable[tuple[str, int, int]]) -> str:
    """Return metadata.csv as text.

    Args:
        patients: split, label and number of each patient.
    """
    lines = [_COLUMNS]
    for split, label, number in patients:
        naming = naming_of(split, label, number)
        selection = 'N/A' if label == 0 else 'Expert' if naming.evaluated else 'Automatic'
        patient = naming.patient.format(n=number)
        lines.append(f'{patient},{naming.source},,,,{_FINDINGS[label]},Yes,{selection},Axial,CT')
    return '\n'.join(lines) + '\n'
