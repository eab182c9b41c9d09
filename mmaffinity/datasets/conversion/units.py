"""Units of a split, which are never divided: patients or, if these are unknown, groups of near-identical slices."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mmaffinity.utils.wording import first_few, plural

from ..patients import check_pattern, patient_in
from ..verification.image_facts import FileFacts
from ..verification.near import Near, near_groups
from .summary import ConversionSummary
from .tables import PatientTable

# Looser than the verifier's criteria: a false pair costs little here, a missed pair is leakage.
GROUPING = Near(radius=10, correlation=0.98)


@dataclass(frozen=True)
class UnitOptions:
    """How to identify slices that must stay in one split.

    Attributes:
        patient_pattern: regular expression, searched in the name of a slice, whose group named ``patient``, or first group,
            is the patient.
        patients: table of patients.
        near: criteria for near-identical slices, used if neither a pattern nor a table is given.

    Raises:
        ValueError: if the pattern is not a regular expression or has no group, or both pattern and table are given.
    """

    patient_pattern: str | None = None
    patients: PatientTable | None = None
    near: Near = GROUPING

    def __post_init__(self) -> None:
        check_pattern('patient_pattern', self.patient_pattern)
        if self.patient_pattern is not None and self.patients is not None:
            raise ValueError(
                f'patients are specified twice, by patient_pattern={self.patient_pattern!r} and by '
                f'{self.patients.path}: use only one of them'
            )


class Unit(NamedTuple):
    """The unit of a slice: its patient, or its group if the patient is unknown; the other is None."""

    patient: str | None
    group: str | None

    @property
    def name(self) -> str:
        return str(self.group if self.patient is None else self.patient)


def find_units(
    facts: Mapping[str, FileFacts], options: UnitOptions, source: str, summary: ConversionSummary
) -> dict[str, Unit]:
    """Find the unit of each slice.

    Args:
        facts: facts of the slices, by name.
        options: how patients are identified.
        source: origin of the slices, for errors.
        summary: receives slices missing from the table as problems, and a warning if patients are unknown.

    Returns:
        The unit of each slice that has one, by name. Groups are named after their first slice.

    Raises:
        FileNotFoundError: if the table does not exist.
        ValueError: if the pattern does not match a name, or the table is invalid.
    """
    names = list(facts)
    if not names:
        return {}
    if options.patient_pattern is not None:
        return {name: Unit(patient_in(name, options.patient_pattern, source), None) for name in names}
    if options.patients is not None:
        patients = options.patients.patients_of(names)
        unknown = [name for name in names if name not in patients]
        if unknown:
            summary.add_problems(
                [f'{plural(len(unknown), "slice")} without a patient in {options.patients.path} ({first_few(unknown)})']
            )
        return {name: Unit(patient, None) for name, patient in patients.items()}
    groups = [names[first] for first in near_groups(list(facts.values()), options.near)]
    sizes = Counter(groups)
    summary.warn(
        'patients are unknown: near-identical slices stay in one split, as if they were of one patient '
        f'({plural(len(names), "slice")} in {plural(len(sizes), "group")}, the largest with {max(sizes.values())}), but '
        'other slices of a patient may be in several splits, so test results may be better than on new patients'
    )
    return {name: Unit(None, group) for name, group in zip(names, groups, strict=True)}
