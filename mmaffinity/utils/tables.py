"""Tables for the log and the terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .wording import plural


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align cells under their header: the first column left, all others right.

    Args:
        header: one name per column.
        rows: cells as text, each row as long as the header.

    Returns:
        Lines joined by newlines, without a trailing newline.

    Raises:
        ValueError: if a row has another number of cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(
                f'the table has {plural(len(header), "column")}, but a row has {plural(len(row), "cell")}: {list(row)}'
            )
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = [
            cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(zip(cells, widths))
        ]
        return '  '.join([first, *others]).rstrip()

    rule = '  '.join('-' * width for width in widths)
    return '\n'.join([line(header), rule, *(line(row) for row in rows)])


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]], align: str) -> str:
    """Return a Markdown table.

    Args:
        header: one name per column.
        rows: cells, each row as long as the header; bars and line breaks in them are escaped.
        align: a letter per column, 'l' for left and 'r' for right.

    Returns:
        Lines joined by newlines, without a trailing newline.
    """
    rule = ''.join({'l': '---|', 'r': '---:|'}[side] for side in align)
    lines = [[str(cell).replace('|', '\\|').replace('\n', ' ') for cell in row] for row in (header, *rows)]
    first, *others = [f'| {" | ".join(line)} |' for line in lines]
    return '\n'.join([first, f'|{rule}', *others])
