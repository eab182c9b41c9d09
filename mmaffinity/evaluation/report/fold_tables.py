"""Tables of the results of each fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ..functional.bootstrap import Estimate
from .runs import LesionRun, SliceRun
from .seeds import spread
from .tables import RUN, SEEDS, Column, Row, Table

_FIRST_METRICS = {
    'lesion/AP50': ('AP50', False),
    'lesion/AP75': ('AP75', False),
    'lesion/mAP': ('mAP', False),
    'slice/f1': ('F1 %', True),
    'slice/accuracy': ('accuracy %', True),
}
_SENSITIVITY = 'slice/sensitivity_'


def fold_tables(runs: Sequence[SliceRun | LesionRun]) -> list[Table]:
    """Return a table for each pooled run: one row per fold, then their mean, standard deviation and extremes."""
    tables = []
    for name, run in {run.name: run for run in runs if run.fold_metrics}.items():
        columns = _columns(run.fold_metrics)
        table = Table(
            f'folds_{name}',
            f'Cross-validation: {name}',
            ('Synthetic slices, not CT. ' if run.synthetic else '') + 'Results of each fold on its own slices, and '
            'their mean \u00b1 standard deviation, with the lowest and highest value in brackets. The other tables '
            'pool the slices of all folds.',
            columns,
            f'folds_{name}',
            first='fold',
        )
        for index, metrics in run.fold_metrics.items():
            table.rows.append(
                Row(str(index), RUN, {column.metric: _estimate(metrics.get(column.metric)) for column in columns})
            )
        cells = {column.metric: spread([row.cells[column.metric] for row in table.rows], 'folds') for column in columns}
        table.rows.append(Row('all', SEEDS, {metric: cell for metric, cell in cells.items() if cell is not None}))
        tables.append(table)
    return tables


def _estimate(value: Any) -> Estimate:
    if isinstance(value, (int, float)) and isfinite(value):
        return Estimate(value)
    return Estimate(None, note='undefined on the slices of this fold')


def _columns(fold_metrics: dict[int, dict[str, Any]]) -> list[Column]:
    names = dict.fromkeys(
        name for metrics in fold_metrics.values() for name, value in metrics.items() if isinstance(value, (int, float))
    )
    titles = {name: (f'{name.removeprefix(_SENSITIVITY)} %', True) for name in names if name.startswith(_SENSITIVITY)}
    titles.update({name: title for name, title in _FIRST_METRICS.items() if name in names})
    return [Column(name, *titles[name], best=None) for name in names if name in titles]
