"""Grouping of runs into tables; the runs of a table were tested on the same slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .published import PAPER_TABLES, PaperTable
from .runs import LesionRun, SliceRun, TestedList

LEFT_OUT = 'left_out'
ICTCF_CLASSES = {'Negative', 'COVID-19'}


@dataclass
class Group:
    """The runs of one table.

    Attributes:
        key: 'table3' and so on.
        paper: title and published rows.
        runs: classification runs, or segmentation runs in Table 3.
        classes: K names; empty for segmentation.
    """

    key: str
    paper: PaperTable
    runs: list = field(default_factory=list)
    classes: tuple[str, ...] = ()

    @property
    def tested(self) -> TestedList | None:
        """The tested list; None if there are only confusion matrices."""
        return next((run.tested for run in self.runs if run.tested is not None), None)


def group_runs(slices: Sequence[SliceRun], lesions: Sequence[LesionRun]) -> list[Group]:
    """Group runs into the paper's tables.

    Segmentation runs form Table 3. Classification runs form Table 7 if their classes are Negative and COVID-19, Table 5 if they
    were tested on left-out slices, otherwise Table 4, or a separate table if they have other classes. External systems go to
    the table of their classes; for Tables 4 and 5, the numbers of slices of each class decide.

    Raises:
        ValueError: if two runs of one table were tested on different lists, or on other labels or classes.
    """
    groups: dict[str, Group] = {}
    if lesions:
        groups['table3'] = Group('table3', PAPER_TABLES['table3'], list(lesions))
    for run in sorted(slices, key=lambda run: run.labels is None):
        key = _table_of(run, groups)
        paper = PAPER_TABLES.get(key) or PaperTable(f'Slice classification: {", ".join(run.classes)}', '', ())
        groups.setdefault(key, Group(key, paper, classes=run.classes)).runs.append(run)
    for group in groups.values():
        _check_one_list(group)
    return [groups[key] for key in sorted(groups)]


def _table_of(run: SliceRun, groups: dict[str, Group]) -> str:
    if set(run.classes) == ICTCF_CLASSES:
        return 'table7'
    if set(run.classes) != {'Normal', 'CP', 'COVID-19'}:
        return f'classes {", ".join(run.classes)}'
    if run.tested is not None:
        return 'table5' if any(LEFT_OUT in file for file in run.tested.files) else 'table4'
    fitting = [
        key
        for key in ('table4', 'table5')
        if key in groups and (groups[key].runs[0].confusion.sum(1) == run.confusion.sum(1)).all()
    ]
    return fitting[0] if fitting else 'table4'


def _check_one_list(group: Group) -> None:
    first = next((run for run in group.runs if run.tested is not None), group.runs[0])
    for run in group.runs:
        where = f'{group.paper.title} cannot contain both {first.name} and {run.name}'
        if run.tested is not None and run.tested.sha256 != first.tested.sha256:
            raise ValueError(
                f'{where}, because they were tested on different lists: {first.name} ({first.source}) on '
                f'{first.tested}, {run.name} ({run.source}) on {run.tested}; report them separately'
            )
        if isinstance(run, LesionRun):
            continue
        if run.classes != first.classes:
            raise ValueError(f'{where}, because their classes differ: {first.classes} and {run.classes}')
        if run.labels is not None and (run.labels != first.labels).any():
            wrong = run.paths[int((run.labels != first.labels).argmax())]
            raise ValueError(f'{where}, because their labels differ, such as that of {wrong}; one of the lists has changed')
        truth, other = first.confusion.sum(1), run.confusion.sum(1)
        if (truth != other).any():
            raise ValueError(
                f'{where}, because they were tested on different lists: {first.name} on {truth.tolist()} '
                f'slices of {", ".join(first.classes)}, {run.name} ({run.source}) on {other.tolist()}; report '
                'them separately'
            )
