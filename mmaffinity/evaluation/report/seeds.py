"""Runs of one config with different seeds: a summary row in every table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..functional.bootstrap import Estimate
from .runs import LesionRun, SliceRun, TestedConfig
from .tables import RUN, SEEDS, Row, Table


def add_seed_rows(tables: Sequence[Table], runs: Sequence[SliceRun | LesionRun]) -> list[str]:
    """Add a row with mean, standard deviation, lowest and highest value below the runs of each config in each table.

    Runs belong together if their results have different checkpoints but the same ``config_sha256``, of which the seed is not a
    part. Tables of differences are unchanged.

    Args:
        tables: tables of the report, whose rows are named after runs, or after a run and a rule.
        runs: all runs.

    Returns:
        A note for each config with several runs.
    """
    configs: dict[TestedConfig, dict[str, str]] = {}
    for run in runs:
        if run.config is not None:
            configs.setdefault(run.config, {})[run.name] = run.checkpoint or run.source
    sentences = []
    for config, members in configs.items():
        if len(set(members.values())) < 2:
            continue
        names = sorted(members)
        sentences.append(
            f'{", ".join(names)} tested different checkpoints of {config.name}, which are assumed to differ only in their '
            'training seed. The row below them gives the mean \u00b1 standard deviation over these runs, with the lowest '
            'and highest value in brackets: how much results vary between training runs. The intervals of the individual runs '
            'show how much they vary between tested patients.'
        )
        for table in tables:
            if not table.key.endswith('_differences'):
                _add_row(table, config.name, names)
    return sentences


def _add_row(table: Table, config: str, names: Sequence[str]) -> None:
    """Add a row after the last of these runs, one for each rule in row names."""
    rows: dict[str, list[Row]] = {}
    for row in table.rows:
        name = next((name for name in names if row.name == name or row.name.startswith(f'{name}, ')), None)
        if row.kind == RUN and name is not None:
            rows.setdefault(row.name[len(name) :], []).append(row)
    for rule, members in rows.items():
        if len(members) < 2:
            continue
        cells = {column.metric: spread([row.cells.get(column.metric) for row in members]) for column in table.columns}
        row = Row(
            f'{config}, {len(members)} seeds{rule}', SEEDS, {metric: cell for metric, cell in cells.items() if cell is not None}
        )
        table.rows.insert(table.rows.index(members[-1]) + 1, row)


def spread(estimates: Sequence[Estimate | None], unit: str = 'seeds') -> Estimate | None:
    """Return mean, lowest and highest value and standard deviation of several values; None if there are none."""
    values = [estimate.value for estimate in estimates if estimate is not None and estimate.value is not None]
    if not values:
        return None
    note = None if len(values) == len(estimates) else f'from {len(values)} of {len(estimates)} {unit}; undefined for the others'
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Estimate(float(np.mean(values)), min(values), max(values), note, std)
