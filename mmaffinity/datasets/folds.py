"""Cross-validation folds by patient."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmaffinity.utils.wording import first_few, plural

from .annotation_file import SLICES, load_annotation_file


@dataclass(frozen=True)
class Folds:
    """One split of a cross-validation: one fold of patients to test on, the others to train on.

    Patients are stratified by class: folds differ by at most one patient of each class. The split depends only on the patients
    in the lists and is the same on every machine.

    Attributes:
        folds: number of folds.
        fold: the fold to test on, 0 to folds - 1.
        lists: paths of the slice lists and COCO files whose patients are split together: all those of an experiment, so that
            a patient in two of them is in the same fold of both. None means only a data set's own list.

    Raises:
        ValueError: if a number is out of range.
    """

    folds: int
    fold: int
    lists: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.folds < 2 or not 0 <= self.fold < self.folds:
            raise ValueError(f'folds={self.folds}, fold={self.fold}: folds must be at least 2, and fold must be 0 to folds - 1')

    def select(self, data_list: Sequence[dict], own: str, test: bool) -> list[dict]:
        """Return the slices of the test fold, or those of all other folds.

        Args:
            data_list: entries of a data set, with ``patient_id``.
            own: path of its list.
            test: True returns the test fold, False the other folds.

        Raises:
            ValueError: if the patient of a slice is unknown, or there are fewer patients than folds.
        """
        unknown = [str(info['img_path']) for info in data_list if info.get('patient_id') is None]
        if unknown:
            raise ValueError(
                f'{own} cannot be split into folds: {plural(len(unknown), "slice", "has")} no patient_id '
                f'({first_few(unknown)}), so a patient could be in both training and test. Add patient_id to the '
                'list, or convert the data with --patient-pattern'
            )
        classes: dict[str, str] = {}
        for path in self.lists or (own,):
            for patient, name in _classes_of(load_annotation_file(path, None, SLICES)).items():
                # A patient with several classes, or who is also in a lesion file, counts under the class that sorts last.
                classes[patient] = max(classes.get(patient, ''), name)
        place = fold_patients(classes, self.folds)
        return [info for info in data_list if (place[str(info['patient_id'])] == self.fold) == test]


def _classes_of(content: dict[str, Any]) -> dict[str, str]:
    if 'data_list' in content:
        pairs = [(row.get('patient_id'), f'label {row.get("label")!s:>6}') for row in content['data_list']]
    else:
        with_lesions = {annotation.get('image_id') for annotation in content.get('annotations') or ()}
        pairs = [
            (image.get('patient_id'), 'a lesion' if image.get('id') in with_lesions else 'a healthy slice')
            for image in content.get('images') or ()
        ]
    found: dict[str, str] = {}
    for patient, name in pairs:
        if patient is not None:
            found[str(patient)] = max(found.get(str(patient), ''), name)
    return found


def fold_patients(patients: Mapping[str, str], folds: int, seed: int = 0) -> dict[str, int]:
    """Assign each patient to a fold, stratified by class; folds differ by at most one patient.

    Args:
        patients: the class of each patient.
        folds: number of folds.
        seed: seed of the order in which patients are assigned.

    Raises:
        ValueError: if there are fewer patients than folds.
    """
    if len(patients) < folds:
        raise ValueError(f'{plural(len(patients), "patient", "is")} too few for {folds} folds: use fewer folds')
    dealt = [patient for members in strata_of(patients, seed) for patient in members]
    return {patient: place % folds for place, patient in enumerate(dealt)}


def strata_of(patients: Mapping[str, str], seed: int) -> list[list[str]]:
    """Return the patients of each class, in an order that depends only on their names and the seed."""
    strata = defaultdict(list)
    for patient, name in patients.items():
        strata[name].append(patient)
    return [
        sorted(strata[name], key=lambda patient: hashlib.sha256(f'{seed}|{patient}'.encode()).digest())
        for name in sorted(strata)
    ]
