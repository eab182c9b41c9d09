"""Plots of time versus size."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

LABELS = {'slices': 'slices per batch', 'objects': 'objects per slice', 'rois': 'RoIs, beta', 'affinities': 'affinities, C*'}


def draw_growth(measured: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw one panel per quantity, with the measured times and a straight line through the first and last.

    If growth is faster than linear, the points in between are below the line.

    Args:
        measured: (values, seconds) by name of the quantity.

    Returns:
        The figure, for :func:`save_figure`.

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not measured:
        raise ValueError('there are no measurements to draw')
    columns = min(len(measured), 2)
    rows = -(-len(measured) // columns)
    figure = Figure(figsize=(4.1 * columns, 0.4 + 2.7 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, (values, seconds)) in zip(axes, measured.items()):
        milliseconds = [1000 * second for second in seconds]
        axis.plot(
            [values[0], values[-1]],
            [milliseconds[0], milliseconds[-1]],
            color='0.6',
            linestyle='--',
            linewidth=1.2,
            label='straight line',
        )
        axis.plot(values, milliseconds, color='black', marker='o', markersize=4.5, linewidth=1.2, label='measured')
        axis.set(xlabel=LABELS.get(name, name), ylabel='milliseconds', ylim=(0, 1.15 * max(milliseconds)))
        axis.set_xticks(list(values)[-4:] if len(values) > 4 else list(values))
        axis.grid(color='0.9', linewidth=0.6)
    for axis in axes[len(measured) :]:
        axis.set_axis_off()
    axes[0].legend(loc='upper left', fontsize=8, frameon=False)
    return figure
