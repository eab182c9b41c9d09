"""Figure of model ranks by pairs of criteria (the paper's Figure 5)."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata

from mmaffinity.utils.provenance import SHORT_NOTICE


def draw_ranks(criteria: Mapping[str, Mapping[str, float]], pairs: Sequence[tuple[str, str]], note: str = '') -> Figure:
    """Draw the rank of each model by each pair of criteria.

    A model in the upper left corner is best by both criteria; one far from the diagonal is good by only one. Models with equal
    values share the mean of their ranks. A panel shows the models that have both values.

    Args:
        criteria: values by criterion and model; higher is better.
        pairs: the criteria of the horizontal and vertical axes.
        note: footnote, for example on the source of the values.

    Returns:
        The figure, for :func:`save_figure`.

    Raises:
        ValueError: if no pair has two models with both values, or a criterion is unknown.
    """
    unknown = {name for pair in pairs for name in pair} - set(criteria)
    if unknown:
        raise ValueError(f'no model has a value for {sorted(unknown)}; choose from {sorted(criteria)}')
    shown = []
    for first, second in pairs:
        models = [model for model in criteria[first] if model in criteria[second]]
        if len(models) > 1:
            shown.append((first, second, models))
    if not shown:
        raise ValueError('ranking needs at least two models with both values of a pair')
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    most = max(len(models) for *_, models in shown)
    figure = Figure(figsize=(5.2 * columns, 0.4 + rows * max(1.5 + 0.42 * most, 3.6)), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (first, second, models) in zip(axes.flat, shown):
        x, y = (rankdata([-criteria[name][model] for model in models]) for name in (first, second))
        count = len(models)
        axis.plot([0.5, count + 0.5], [0.5, count + 0.5], color='0.8', linewidth=1, zorder=0)
        places: dict[tuple[float, float], list[str]] = {}
        for model, spot in zip(models, zip(x, y)):
            places.setdefault(spot, []).append(model)
        rows_taken: dict[float, int] = {}
        for (left, top), names in sorted(places.items()):
            axis.plot(left, top, 'o', color='black', markersize=6)
            right = left > (count + 1) / 2  # the name goes on the side with more space
            text = textwrap.fill(', '.join(names), 34)
            offset, place = (-7 if right else 7, 0), dict(ha='right' if right else 'left', va='center')
            if sum(other == top for _, other in places) > 1:  # for equal ranks, names alternate above and below
                index = rows_taken[top] = rows_taken.get(top, -1) + 1
                above = index % 2 == 0
                offset, place = (
                    (4 if right else -4, (7 + 12 * (index // 2)) * (1 if above else -1)),
                    dict(place, va='bottom' if above else 'top'),
                )
            label = axis.annotate(
                text,
                (left, top),
                offset,
                textcoords='offset points',
                fontsize=8,
                parse_math=False,
                bbox=dict(facecolor='white', edgecolor='none', pad=0.5, alpha=0.8),
                **place,
            )
            label.set_in_layout(False)  # a long name must not shrink the panel
        axis.set(
            xlim=(0.4, count + 0.6), ylim=(count + 0.6, 0.4), xticks=np.arange(1, count + 1), yticks=np.arange(1, count + 1)
        )
        axis.set_xlabel(f'rank by {first} (1 is best)', parse_math=False)
        axis.set_ylabel(f'rank by {second} (1 is best)', parse_math=False)
        axis.grid(color='0.92', linewidth=0.6)
        axis.set_axisbelow(True)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    foot = ' '.join(part for part in ('grey line: equal rank by both.', note, SHORT_NOTICE) if part)
    figure.supxlabel(textwrap.fill(foot, int(17 * figure.get_figwidth())), x=0.995, ha='right', fontsize=7, color='0.35')
    return figure
