"""Plots of losses and validation scores during training."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmaffinity.utils.provenance import SHORT_NOTICE

STYLES = ('-', '--', ':', '-.', (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = 'os^Dvx'
NAMES = {
    'loss': 'all losses',
    'loss_rpn_cls': 'RPN objectness',
    'loss_rpn_bbox': 'RPN boxes',
    'loss_cls': 'RoI class',
    'loss_bbox': 'RoI boxes',
    'loss_mask': 'RoI masks',
    'loss_slice': 'slice class',
    'f1': 'class-adjusted F1',
}
# Below this ratio of largest to smallest value, a logarithmic axis has no readable ticks.
LOG_RATIO = 10


def draw_training_curves(
    losses: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    scores: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str = '',
) -> Figure:
    """Draw losses by training step and validation scores by epoch.

    Lines differ in style and grey level, scores also in their markers; each has an entry in the legend beside its panel.

    Args:
        losses: (steps, values) of each loss; the slice loss has its own panel. A panel's scale is logarithmic if its largest
            value is at least ten times the smallest.
        scores: (epochs, values in [0, 1]) of each validation score.
        title: title of the figure.

    Returns:
        The figure, for :func:`save_figure`.

    Raises:
        ValueError: if there are no values.
    """
    groups = [
        ('segmentation loss', 'step', {k: v for k, v in losses.items() if k != 'loss_slice'}, True),
        ('classification loss', 'step', {k: v for k, v in losses.items() if k == 'loss_slice'}, True),
        ('validation', 'epoch', dict(scores), False),
    ]
    groups = [group for group in groups if any(len(values[0]) for values in group[2].values())]
    if not groups:
        raise ValueError('there are no losses or scores to draw')
    figure = Figure(figsize=(8.2, 0.5 + 2.6 * len(groups)), layout='constrained')
    axes = figure.subplots(len(groups), squeeze=False)[:, 0]
    for axis, (name, unit, lines, logarithmic) in zip(axes, groups):
        for index, (key, (steps, values)) in enumerate(lines.items()):
            many = len(lines) > 1
            # Hollow markers that shrink from line to line keep coinciding values distinguishable.
            axis.plot(
                steps,
                values,
                linestyle=STYLES[index % len(STYLES)],
                linewidth=1.4,
                color=str(0.55 * (index / max(len(lines) - 1, 1))) if many else 'black',
                label=NAMES.get(key, key.replace('_', ' ')),
                clip_on=False,
                fillstyle='none',
                marker=MARKERS[index % len(MARKERS)] if len(steps) < 30 else None,
                markersize=max(8.5 - 1.2 * index, 3.5) if unit == 'epoch' else 4,
            )
        if unit == 'step':
            axis.set_xlim(*_with_margin([step for steps, _ in losses.values() for step in steps]))
        if logarithmic:
            values = np.concatenate([line[1] for line in lines.values()])
            if values.min() > 0 and values.max() >= LOG_RATIO * values.min():
                axis.set_yscale('log')
        else:
            epochs = [epoch for line in lines.values() for epoch in line[0]]
            axis.set(xlim=(min(epochs) - 0.5, max(epochs) + 0.5), ylim=(-0.02, 1.02))
        axis.set(xlabel=unit, ylabel=name)
        axis.grid(color='0.9', linewidth=0.6)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.legend(loc='center left', bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False, handlelength=3.5)
    if title:
        figure.suptitle(title, fontsize=10, parse_math=False)
    figure.supxlabel(SHORT_NOTICE, x=0.995, ha='right', fontsize=7, color='0.35')
    return figure


def _with_margin(steps: Sequence[float]) -> tuple[float, float]:
    """Return axis limits for all loss panels, so that their steps are aligned."""
    low, high = min(steps), max(steps)
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin
