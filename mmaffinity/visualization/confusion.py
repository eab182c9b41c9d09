"""Figure of a confusion matrix."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mmaffinity.utils.provenance import SHORT_NOTICE


def draw_confusion_matrix(matrix: np.ndarray, class_names: Sequence[str], title: str | None = None) -> Figure:
    """Draw the counts and their shares of each true class; a darker cell has a larger share of its row.

    Args:
        matrix: counts of slices, shape (K, K), rows true class, columns predicted class.
        class_names: names of the K classes.
        title: title above the matrix.

    Returns:
        The figure, for :func:`save_figure`. The share of a class without slices is a dash, explained below the matrix.

    Raises:
        ValueError: if the matrix does not contain K x K counts for K names.
    """
    matrix = np.asarray(matrix)
    num_classes = len(class_names)
    if not num_classes or matrix.shape != (num_classes, num_classes):
        raise ValueError(
            f'a confusion matrix of {num_classes} classes ({", ".join(class_names)}) must have shape '
            f'({num_classes}, {num_classes}), not {matrix.shape}'
        )
    if not np.isfinite(matrix).all() or (matrix < 0).any() or (matrix != np.floor(matrix)).any():
        raise ValueError(f'a confusion matrix must contain counts, whole numbers of at least 0, not {matrix.tolist()}')
    matrix = matrix.astype(np.int64)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)

    side = 1.05 * num_classes
    figure = Figure(figsize=(max(side + 2.0, 3.6), max(side + 1.4, 2.9)), layout='constrained')
    axis = figure.subplots()
    axis.imshow(shares, cmap='Greys', vmin=0.0, vmax=1.25)  # leaves text readable on the darkest cell
    for row in range(num_classes):
        for column in range(num_classes):
            share = f'{shares[row, column]:.2%}' if totals[row] else '\u2013'
            color = 'white' if shares[row, column] > 0.75 else 'black'
            weight = 'bold' if row == column else 'normal'
            axis.text(
                column,
                row - 0.08,
                f'{matrix[row, column]:,}',
                ha='center',
                va='center',
                color=color,
                fontsize=12,
                fontweight=weight,
            )
            axis.text(column, row + 0.16, share, ha='center', va='center', color=color, fontsize=9)
    axis.set_xticks(range(num_classes), [_wrapped(name) for name in class_names], parse_math=False)
    row_names = [f'{_wrapped(name)}\n({total:,})' for name, total in zip(class_names, totals[:, 0])]
    axis.set_yticks(range(num_classes), row_names, parse_math=False)
    axis.set_xticks(np.arange(num_classes - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(num_classes - 1) + 0.5, minor=True)
    axis.grid(which='minor', color='0.6', linewidth=0.8)
    axis.tick_params(which='both', length=0)
    axis.set_xlabel('predicted class')
    axis.set_ylabel('true class (slices)')
    if title:
        axis.set_title(title, fontsize=11, parse_math=False)
    below = 'slices, and their share of the true class'
    if not totals.all():
        below += '; \u2013: no slices of this class'
    figure.supxlabel(f'{below}. {SHORT_NOTICE}', fontsize=7, color='0.35')
    return figure


def _wrapped(name: str) -> str:
    return textwrap.fill(name, 10, max_lines=4, placeholder='\u2026')
