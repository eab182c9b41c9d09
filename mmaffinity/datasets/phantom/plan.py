"""The slices of a phantom and their names, in the raw layouts and lists of CNCB-NCOV, iCTCF and COVIDx-CT."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from . import covidx_ct
from .anatomy import body_box
from .patient import Patient
from .slices import CNCB_SCANNER, ICTCF_SCANNER, MIN_SIZE, Scanner

FOLDERS = ('Normal', 'CP', 'NCP')  # CNCB-NCOV's class folders by label
LISTS = {  # split: list, relative to the phantom's folder
    'lesions_train': 'cncb_ncov/lists/train_split_segmentation.txt',
    'lesions_test': 'cncb_ncov/lists/test_split_segmentation.txt',
    'slices_train': 'cncb_ncov/lists/train_COVIDx_CT-1.txt',
    'slices_val': 'cncb_ncov/lists/val_COVIDx_CT-1.txt',
    'slices_test': 'cncb_ncov/lists/test_COVIDx_CT-1.txt',
    'slices_selected': 'cncb_ncov/lists/train_split_classification.txt',
    'ictcf_train': 'ictcf/lists/train_ictcf.txt',
    'ictcf_test': 'ictcf/lists/test_ictcf.txt',
}
# Settings added later; phantoms of earlier versions have 0.
VOLUMES = {'nifti_pairs': 0, 'covid_ct_md': 0}
_SLICES = 120  # axial slices of a whole scan, of which a phantom contains a few neighbours
_FIRST, _LAST = 20, 103  # slices that show enough lung
_HEALTHY = 0.27  # share of the segmentation slices without lesions: 204 of 750 in CNCB-NCOV
_FIRST_ID = {0: 751, 1: 1101, 2: 1}  # by label; CNCB-NCOV's patient numbers start near these


@dataclass(frozen=True)
class PhantomSettings:
    """Everything that determines the bytes of a phantom.

    Attributes:
        seed: seed of all patients, >= 0.
        size: side length of the slices, pixels.
        slices_per_patient: number of neighbouring slices of each patient, 1 to 42.
        lesions_train, lesions_test: number of slices with lesion masks.
        slices_train, slices_val, slices_test: number of slices with class labels, balanced over the three classes.
        slices_selected: how many of `slices_train` are in the balanced training list; the rest is "left out".
        ictcf_train, ictcf_test: number of slices of the second hospital, half negative, half COVID-19.
        covidx_train, covidx_val, covidx_test: number of slices in COVIDx-CT's layout, balanced over the three classes; 0 for
            none.
        nifti_pairs: number of patients with a NIfTI volume and a lesion mask; 0 for none.
        covid_ct_md: number of patients of each class as DICOM series in the layout of COVID-CT-MD; 0 for none.

    Raises:
        ValueError: if a value is out of range.
    """

    seed: int = 0
    size: int = 512
    slices_per_patient: int = 4
    lesions_train: int = 120
    lesions_test: int = 40
    slices_train: int = 240
    slices_selected: int = 150
    slices_val: int = 60
    slices_test: int = 90
    ictcf_train: int = 60
    ictcf_test: int = 90
    covidx_train: int = 0
    covidx_val: int = 0
    covidx_test: int = 0
    nifti_pairs: int = 0
    covid_ct_md: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = {'seed': 0, 'size': MIN_SIZE, 'slices_per_patient': 1, 'slices_selected': 0, **VOLUMES}.get(name)
            if least is None:
                least = {'ictcf': 2, 'lesions': 1, 'covidx': 0}.get(name.partition('_')[0], 3)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f'{name} must be a whole number of at least {least}, not {value!r}')
        if self.slices_per_patient > (_LAST - _FIRST + 1) // 2:
            raise ValueError(f'slices_per_patient must be at most {(_LAST - _FIRST + 1) // 2}, not {self.slices_per_patient}')
        if self.slices_selected % 3 or self.slices_selected > self.slices_train // 3 * 3:
            raise ValueError(
                f'slices_selected must be a multiple of 3 (a balanced list of three classes) and at most '
                f'slices_train = {self.slices_train}, not {self.slices_selected}'
            )


class PlannedSlice(NamedTuple):
    """A planned slice; `make_patient(seed, number, label)` and `draw_slice` turn it into pixels.

    Attributes:
        split: key of `LISTS`, or of the lists of COVIDx-CT.
        image: path of the image, relative to the phantom's folder.
        name: name in the list.
        number: number of the patient, unique in the phantom.
        label: class of the patient.
        level: level of the slice, 0 to 1.
        mask: path of the lesion mask, relative to the phantom's folder; None for slices with a class label only.
        lesions: False for a lesion-free slice of the segmentation set.
        scanner: appearance of the image.
    """

    split: str
    image: str
    name: str
    number: int
    label: int
    level: float
    mask: str | None = None
    lesions: bool = True
    scanner: Scanner = CNCB_SCANNER


class _Plan:
    """The slices planned so far. Patients are used one after another, each for one split only."""

    def __init__(self, settings: PhantomSettings) -> None:
        self.settings = settings
        self.rows: list[PlannedSlice] = []
        self.used = 0

    def draw(self, count: int) -> list[tuple[int, int]]:
        """Return patient number and index in the scan of ``count`` slices, from as many patients as needed."""
        per = self.settings.slices_per_patient
        found: list = []
        while len(found) < count:
            rng = np.random.default_rng([self.settings.seed, self.used, 3])
            step = 2 if per > 20 else min(4, (_LAST - _FIRST) // max(1, per - 1))
            first = int(rng.integers(_FIRST, _LAST - step * (per - 1) + 1))
            found += [(self.used, first + step * index) for index in range(per)]
            self.used += 1
        return found[:count]

    def draw_classes(self, split: str) -> Iterator[tuple[int, int, int]]:
        """Yield label, patient number and index in the scan of a split's slices, balanced over the three classes."""
        total = getattr(self.settings, split)
        for label in (2, 1, 0):  # as in the real lists
            for number, index in self.draw(total // 3 + (label < total % 3)):
                yield label, number, index


def plan_phantom(settings: PhantomSettings) -> list[PlannedSlice]:
    """List the slices of a phantom in the order of its lists; no patient is in two splits."""
    plan = _Plan(settings)
    for split in ('lesions_train', 'lesions_test'):
        _plan_lesions(plan, split)
    ids = dict(_FIRST_ID)
    persons: dict[int, int] = {}
    for split in ('slices_train', 'slices_val', 'slices_test'):
        for label, number, index in plan.draw_classes(split):
            if number not in persons:
                persons[number] = ids[label]
                ids[label] += 1
            path = (FOLDERS[label], str(persons[number]), str(1000 + number), f'{index:04d}.png')
            image, name = f'cncb_ncov/{"/".join(path)}', '_'.join(path)
            plan.rows.append(PlannedSlice(split, image, name, number, label, index / _SLICES))
    _plan_ictcf(plan)
    for split in covidx_ct.LISTS:  # sources alternate from patient to patient
        for label, number, index in plan.draw_classes(split):
            file = covidx_ct.naming_of(split, label, number).name.format(n=number, i=index) + '.png'
            plan.rows.append(PlannedSlice(split, f'{covidx_ct.IMAGES}/{file}', file, number, label, index / _SLICES))
    return plan.rows


def _plan_lesions(plan: _Plan, split: str) -> None:
    count, rows = getattr(plan.settings, split), []
    rng = np.random.default_rng([plan.settings.seed, 4, plan.used])
    healthy = set(rng.permutation(count)[: int(_HEALTHY * count)].tolist())
    for place, (number, index) in enumerate(plan.draw(count)):
        label = (
            1 if number % 3 == 2 else 2
        )  # mostly COVID-19, some common pneumonia, so that training sees both kinds of lesions
        image, mask = (f'cncb_ncov/ct_lesion_seg/{kind}/{number}/{index}' for kind in ('image', 'mask'))
        name, level = f'{number}_{index}.jpg', index / _SLICES
        rows.append(PlannedSlice(split, f'{image}.jpg', name, number, label, level, f'{mask}.png', place not in healthy))
    plan.rows += sorted(rows, key=lambda row: row.name)


def _plan_ictcf(plan: _Plan) -> None:
    """Add the second hospital's splits, whose slices are numbered at random across both, as in the original."""
    settings = plan.settings
    for split in ('ictcf_train', 'ictcf_test'):
        for label, stem in ((2, 'pCT'), (0, 'nCT')):
            train, test = ((getattr(settings, name) + (label == 0)) // 2 for name in ('ictcf_train', 'ictcf_test'))
            numbers = 1 + np.random.default_rng([settings.seed, 5, label]).permutation(train + test)
            own = numbers[:train] if split == 'ictcf_train' else numbers[train:]
            for name, (number, index) in zip(own.tolist(), plan.draw(len(own)), strict=True):
                image, level = f'ictcf/{stem}/{stem}{name}.jpg', index / _SLICES
                listed = f'{label}_{stem}{name}.jpg'
                plan.rows.append(PlannedSlice(split, image, listed, number, label, level, scanner=ICTCF_SCANNER))


def list_rows(plan: list[PlannedSlice], settings: PhantomSettings, patients: dict[int, Patient]) -> dict[str, list[str]]:
    """Return the rows of every list of a phantom.

    Args:
        plan: the slices.
        settings: settings of the phantom.
        patients: patients by number; those of the labelled CNCB-NCOV and COVIDx-CT splits are needed, for the body boxes.

    Returns:
        Rows by key of `LISTS`, and of those lists of COVIDx-CT that have any.
    """
    rows: dict[str, list[str]] = {split: [] for split in LISTS}
    for row in plan:
        text = row.name
        if row.split.startswith(('slices', 'covidx')):
            box = body_box(patients[row.number], row.level, settings.size, row.scanner.zoom)
            text = ' '.join(map(str, (row.name, row.label, *box)))
        rows.setdefault(row.split, []).append(text)
    rng = np.random.default_rng([settings.seed, 6])
    chosen = []
    for label in range(3):
        names = [row.name for row in plan if row.split == 'slices_train' and row.label == label]
        picked = rng.permutation(len(names))[: settings.slices_selected // 3]
        chosen += [f'{label}_' + names[index].split('_', 1)[1] for index in picked]
    rows['slices_selected'] = [chosen[index] for index in rng.permutation(len(chosen))]
    return rows
