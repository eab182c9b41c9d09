"""Reliability diagrams: accuracy by confidence."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mmaffinity.utils.provenance import SHORT_NOTICE


def draw_reliability(panels: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray, float]]) -> Figure:
    """Draw one panel per model, with accuracy by confidence at the top and the number of predictions at the bottom.

    Args:
        panels: for each model, its title, the counts, mean confidences and accuracies of B bins of equal width over [0, 1]
            (NaN for empty bins), and the expected calibration error.

    Returns:
        The figure, for :func:`save_figure`.

    Raises:
        ValueError: if there are no panels.
    """
    if not panels:
        raise ValueError('nothing to draw: pass at least one model')
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(0.6 + 3.3 * columns, 0.4 + 4.1 * rows), layout='constrained')
    axes = figure.subplots(2 * rows, columns, squeeze=False, sharex=True, height_ratios=[3, 1] * rows)
    for index, (title, counts, confidence, accuracy, ece) in enumerate(panels):
        upper, lower = axes[2 * (index // columns), index % columns], axes[2 * (index // columns) + 1, index % columns]
        edges = np.linspace(0, 1, len(counts) + 1)
        filled = np.asarray(counts) > 0
        upper.plot([0, 1], [0, 1], color='0.45', linestyle='--', linewidth=1)
        upper.bar(
            edges[:-1], np.nan_to_num(accuracy), np.diff(edges), align='edge', color='0.82', edgecolor='0.35', linewidth=0.8
        )
        upper.plot(
            np.asarray(confidence)[filled],
            np.asarray(accuracy)[filled],
            'o',
            color='black',
            markersize=4,
            clip_on=False,
            zorder=3,
        )  # not clipped, so that dots at 0 and 1 are complete
        upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel='accuracy')
        lines = [textwrap.fill(line, 38, max_lines=2) for line in title.split('\n')]
        upper.set_title('\n'.join(lines), fontsize=9, parse_math=False)
        upper.text(0.04, 0.97, f'ECE {ece:.2%}', transform=upper.transAxes, va='top', fontsize=9)
        lower.bar(edges[:-1], counts, np.diff(edges), align='edge', color='0.5', edgecolor='0.25', linewidth=0.8)
        lower.set(xlabel='probability of the predicted class', ylabel='slices')
        lower.locator_params(axis='y', nbins=3, integer=True)
        lower.tick_params(labelbottom=True)
    for index in range(len(panels), rows * columns):
        axes[2 * (index // columns), index % columns].set_axis_off()
        axes[2 * (index // columns) + 1, index % columns].set_axis_off()
    foot = f'bars: accuracy by confidence; dots: the same at the mean confidence of the bin; dashed: ideal. {SHORT_NOTICE}'
    figure.supxlabel(textwrap.fill(foot, int(17 * figure.get_figwidth())), fontsize=7, color='0.35')
    return figure
