"""The content of a report, and the parts that every group of runs adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from mmaffinity.utils.wording import plural

from ..functional.bootstrap import Estimate, paired_difference
from ..functional.confusion_scores import confusion_scores
from .groups import Group
from .published import PublishedRow
from .scores import Calibration, Scores
from .tables import PUBLISHED, RUN, Column, Row, Table


@dataclass
class Report:
    """The content of a report.

    Attributes:
        num_resamples, seed: number and seed of the bootstrap resamples.
        tables: tables in order.
        matrices: confusion matrices as Markdown, by key of their group.
        confusions: confusion matrices as plain data.
        calibrations: calibrations by group and run, for classification runs with probabilities.
        notes: notes, for example on what was left out.
        synthetic: names of runs tested on the phantom.
    """

    num_resamples: int
    seed: int
    tables: list[Table] = field(default_factory=list)
    matrices: dict[str, list[str]] = field(default_factory=dict)
    confusions: list[dict] = field(default_factory=list)
    calibrations: dict[tuple[str, str], Calibration] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    synthetic: list[str] = field(default_factory=list)

    def add_table(
        self,
        group: Group,
        key: str,
        title: str,
        caption: str,
        columns: Sequence[Column],
        rows: Sequence[Row],
        notes: Sequence[str] = (),
        first: str = 'model',
    ) -> None:
        """Add a table with the best values in bold; its key and title are appended to those of the group."""
        table = Table(
            group.key + key, group.paper.title + title, caption, list(columns), group.key, list(rows), first, list(notes)
        )
        table.mark_best()
        self.tables.append(table)

    def compare(self, group: Group, scores: Mapping[str, Scores], columns: Sequence[Column]) -> None:
        """Add the published rows to the last table, and a table of paired differences between its runs."""
        table, paper = self.tables[-1], group.paper
        table.rows += [Row(row.name, PUBLISHED, _published_cells(row, group.classes)) for row in paper.rows]
        if paper.rows:
            table.notes.append(
                f"Published results are the paper's, of its own weights on {paper.on}; no intervals "
                'were published. Bold marks the best of the other rows.'
            )
        if any(row.confusion for row in paper.rows):
            table.notes.append(
                'For published rows with a confusion matrix, F1 uses the class weights of that publication '
                '(0.45, 0.35, 0.20 for Normal, CP, COVID-19).'
            )
        paired = {run.name: scores[run.name] for run in group.runs if scores[run.name].samples}
        first = next(iter(paired.values()), None)
        # If one results file identifies patients and another does not, their resamples differ.
        paired = {name: s for name, s in paired.items() if first and (s.units, s.num_units) == (first.units, first.num_units)}
        if first is None or len(paired) < 2:
            return
        columns = [Column(c.metric, c.title, c.percent, best=None, signed=True) for c in columns]
        rows = []
        for (one, a), (other, b) in combinations(paired.items(), 2):
            cells = {
                c.metric: paired_difference(
                    a.estimates[c.metric], b.estimates[c.metric], a.samples[c.metric], b.samples[c.metric], a.num_units, a.units
                )
                for c in columns
            }
            bold = {
                metric for metric, e in cells.items() if e.low is not None and e.high is not None and (e.low > 0 or e.high < 0)
            }
            rows.append(Row(f'{one} \u2212 {other}', RUN, cells, bold))
        self.add_table(
            group,
            '_differences',
            ': differences',
            f'First minus second model, from the same resamples of {first.num_units} {first.units} (paired '
            'bootstrap). Bold: the 95 % interval excludes 0. With many pairs, some intervals exclude 0 by chance.',
            columns,
            rows,
            first='pair',
        )

    def about_intervals(self, scores: Mapping[str, Scores]) -> str:
        """Describe the resamples from which the intervals of a table's runs were computed."""
        paired = [s for s in scores.values() if s.samples] or scores.values()
        kinds = {(s.num_units, s.units) for s in paired}
        over = ' or '.join(plural(num, kind.removesuffix('s')) for num, kind in sorted(kinds))
        unknown = ' (patients are unknown)' if {kind for _, kind in kinds} == {'slices'} else ''
        apart = [name for name, s in scores.items() if not s.samples] if any(s.samples for s in scores.values()) else []
        matrices = f'; for {", ".join(apart)}, of slices (only the confusion matrix is known)' if apart and not unknown else ''
        resamples = plural(self.num_resamples, 'bootstrap resample')
        return f'95 % percentile intervals from {resamples} of {over}{unknown}{matrices}.'


def _published_cells(row: PublishedRow, classes: Sequence[str]) -> dict[str, Estimate]:
    values = dict(row.values)
    if row.confusion:
        found = confusion_scores(np.array(row.confusion), row.class_weights or 'share')
        values.update(
            {f'sensitivity/{name}': float(value) for name, value in zip(classes, found['sensitivity'])}, f1=float(found['f1'])
        )
    return {metric: Estimate(value, note=row.notes.get(metric)) for metric, value in values.items()}
