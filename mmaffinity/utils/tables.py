"""Tables for the log and the terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ['-' * width for width in widths])
    sides = '<' + '>' * len(widths)
    return '\n'.join(
        '  '.join(f'{cell:{side}{width}}' for cell, side, width in zip(cells, sides, widths)).rstrip() for cells in lines
    )


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
