"""Tables for the log and the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from mmaffinity.utils.wording import plural


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
