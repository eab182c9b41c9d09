"""Splits by patient: a patient's slices stay together, and the same names and seed always yield the same split."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mmaffinity.utils.wording import plural

from ..folds import fold_patients, strata_of

PARTS = ('train', 'val', 'test')
Item = TypeVar('Item')


@dataclass(frozen=True)
class SplitOptions:
    """How to split patients.

    Attributes:
        val_share, test_share: shares of the patients, from 0 to below 1; the rest is for training. A share of 0 writes no list.
        folds: number of cross-validation folds for which to write lists; None writes none.
        seed: seed of the split.

    Raises:
        ValueError: if a value is out of range.
    """

    val_share: float = 0.1
    test_share: float = 0.2
    folds: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.val_share, self.test_share) < 0 or not self.val_share + self.test_share < 1:
            raise ValueError(
                f'val_share={self.val_share:g} and test_share={self.test_share:g} must not be negative, and must '
                'leave patients for training: their sum must be below 1'
            )
        if self.folds is not None and self.folds < 2:
            raise ValueError(f'folds={self.folds} must be at least 2')


def split_patients(patients: Mapping[str, str], options: SplitOptions) -> dict[str, str]:
    """Assign each patient to 'train', 'val' or 'test'.

    Args:
        patients: the class of each patient. Each class is split separately, so that every split has patients of each class.
        options: the shares. A split with a share above 0 gets at least one patient of each class with three or more.

    Raises:
        ValueError: if a split would be empty.
    """
    parts = {}
    for members in strata_of(patients, options.seed):
        count = len(members)
        sizes = {
            part: round(share * count) or int(share > 0 and count >= 3)
            for part, share in (('test', options.test_share), ('val', options.val_share))
        }
        names = [part for part, size in sizes.items() for _ in range(size)]
        parts.update({patient: names[place] if place < len(names) else 'train' for place, patient in enumerate(members)})
    wanted = ['train', *(['val'] if options.val_share else []), *(['test'] if options.test_share else [])]
    empty = [part for part in wanted if part not in parts.values()]
    if empty:
        raise ValueError(
            f'{plural(len(patients), "patient", "is")} too few for {", ".join(wanted)}: {empty[0]} would be '
            'empty; set --val-share or --test-share to 0'
        )
    return parts


def each_split(
    kind: str, items: Sequence[Item], patient_of: Callable[[Item], str], patients: Mapping[str, str], options: SplitOptions
) -> Iterator[tuple[str, list[Item]]]:
    """Split slices by patient.

    Args:
        kind: what the lists contain, 'slices' or 'lesions'.
        items: the slices.
        patient_of: the patient of a slice.
        patients: the class of each patient.
        options: how to split the patients.

    Yields:
        The name of a list, such as 'lesions_train' or 'fold_0/lesions_test', and its slices; the training list comes first.

    Raises:
        ValueError: if a split would be empty, or there are fewer patients than folds.
    """
    parts = split_patients(patients, options)
    for part in PARTS:
        if part in parts.values():
            yield f'{kind}_{part}', [item for item in items if parts[patient_of(item)] == part]
    if options.folds is not None:
        places = fold_patients(patients, options.folds, options.seed)
        for fold in range(options.folds):
            yield f'fold_{fold}/{kind}_train', [item for item in items if places[patient_of(item)] != fold]
            yield f'fold_{fold}/{kind}_test', [item for item in items if places[patient_of(item)] == fold]
