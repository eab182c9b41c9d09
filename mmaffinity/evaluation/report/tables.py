"""Tables as data: cells with values, intervals and footnotes, the best values in bold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmaffinity.utils.tables import markdown_table

from ..functional.bootstrap import Estimate

DASH = '\u2013'
RUN, PUBLISHED, EXTERNAL, SEEDS = 'run', 'published', 'external', 'seeds'


@dataclass(frozen=True)
class Column:
    """A metric as a column.

    Attributes:
        metric: key of the estimate.
        title: heading.
        percent: print in percent with two decimals; otherwise as a plain number with three.
        best: whether the 'high' or 'low' value is best; None for neither.
        signed: always print the sign, for differences.
    """

    metric: str
    title: str
    percent: bool = True
    best: str | None = 'high'
    signed: bool = False

    def number(self, value: float) -> str:
        sign = '+' if self.signed else ''
        text = format(100 * value, f'{sign}.2f') if self.percent else format(value, f'{sign}.3f')
        return text.replace('-', '\u2212')


@dataclass
class Row:
    """A model's values.

    Attributes:
        name: first cell.
        kind: 'run', 'published', 'external', or 'seeds' for the spread over several runs.
        cells: estimates by metric; a missing metric is shown as a dash without a footnote, 'not reported'.
        bold: metrics in bold.
    """

    name: str
    kind: str
    cells: dict[str, Estimate]
    bold: set[str] = field(default_factory=set)


@dataclass
class Table:
    """A table.

    Attributes:
        key: short name, for CSV and JSON.
        title: heading.
        caption: paragraph above it.
        columns: metrics.
        group: key of the paper's table whose runs it shows.
        rows: models.
        first: heading of the first column.
        notes: notes below it.
    """

    key: str
    title: str
    caption: str
    columns: list[Column]
    group: str
    rows: list[Row] = field(default_factory=list)
    first: str = 'model'
    notes: list[str] = field(default_factory=list)

    def mark_best(self) -> None:
        """Mark the best of each column in bold, including ties at the printed precision; published rows do not compete.

        Published results come from other weights and, if our run used other data, other slices, so ranking them with ours would
        be meaningless.
        """
        rows = [row for row in self.rows if row.kind != PUBLISHED]
        for column in self.columns:
            if column.best is None or len(rows) < 2:
                continue
            shown = {
                id(row): float(f'{row.cells[column.metric].value:.{4 if column.percent else 3}f}')
                for row in rows
                if column.metric in row.cells and row.cells[column.metric].value is not None
            }
            if shown:
                best = (max if column.best == 'high' else min)(shown.values())
                for row in rows:
                    if shown.get(id(row)) == best:
                        row.bold.add(column.metric)

    def markdown(self, heading: bool = True) -> str:
        """Return the table as Markdown, with lettered footnotes for undefined values."""
        letters: dict[str, str] = {}

        def mark(note: str) -> str:
            return f' [{letters.setdefault(note, _letter(len(letters)))}]'

        missing, rows = False, []
        for row in self.rows:
            name = row.name.replace('*', '\\*') + {PUBLISHED: ' *(published)*', EXTERNAL: ' *(external)*'}.get(row.kind, '')
            cells = []
            for column in self.columns:
                estimate = row.cells.get(column.metric)
                missing |= estimate is None
                cells.append(DASH if estimate is None else _cell(estimate, column, column.metric in row.bold, mark))
            rows.append([name, *cells])
        foot = [f'[{letter}] {_sentence(note)}' for note, letter in letters.items()]
        foot += self.notes + ([f'{DASH} without a letter: not reported.'] if missing else [])
        header = [self.first, *(column.title for column in self.columns)]
        table = markdown_table(header, rows, 'l' + 'r' * len(self.columns))
        lines = [*([f'### {self.title}', ''] if heading else []), self.caption, '', table]
        return '\n'.join(lines + ([''] if foot else []) + [line + '  ' for line in foot])

    def records(self) -> list[dict]:
        """Return one flat record per value, for CSV and JSON."""
        return [
            dict(
                table=self.key,
                model=row.name,
                kind=row.kind,
                metric=column.metric,
                value=row.cells[column.metric].value,
                low=row.cells[column.metric].low,
                high=row.cells[column.metric].high,
                std=row.cells[column.metric].std,
                best=column.metric in row.bold,
                note=row.cells[column.metric].note,
            )
            for row in self.rows
            for column in self.columns
            if column.metric in row.cells
        ]


def _cell(estimate: Estimate, column: Column, bold: bool, mark: Any) -> str:
    note = mark(estimate.note) if estimate.note else ''
    if estimate.value is None:
        return DASH + note
    text = column.number(estimate.value)
    text = f'**{text}**' if bold else text
    if estimate.std is not None:
        text += f' \u00b1 {column.number(estimate.std).lstrip("+")}'
    if estimate.low is not None and estimate.high is not None:
        text += f' ({column.number(estimate.low)} to {column.number(estimate.high)})'
    return text + note


def _letter(index: int) -> str:
    return chr(ord('a') + index) if index < 26 else f'{_letter(index // 26 - 1)}{_letter(index % 26)}'


def _sentence(text: str) -> str:
    if not text.split(' ', 1)[0].endswith(':'):  # keep the name of a run unchanged
        text = text[:1].upper() + text[1:]
    return text + ('' if text.endswith('.') else '.')
