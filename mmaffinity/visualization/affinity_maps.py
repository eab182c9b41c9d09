"""Heat maps of the affinity representation Y, as in the paper's Figure 4."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from mmaffinity.utils.provenance import SHORT_NOTICE
from mmaffinity.utils.wording import plural

from .sample_arrays import to_array

# On screen, the hue shows the sign; lightness increases throughout, so that a grayscale print shows it too.
AFFINITY_COLORS = LinearSegmentedColormap.from_list(
    'affinity', ['#04103f', '#163c94', '#386cb8', '#8c8c8c', '#e8a94a', '#fcd66c', '#fffbe0']
)


def draw_affinity(
    affinity: np.ndarray | Sequence[np.ndarray],
    titles: str | Sequence[str] | None = None,
    columns: int | None = None,
) -> Figure:
    """Draw Y = W^T X of one slice, or of several slices side by side on a common colour scale.

    The scale is symmetric about zero and ends at the 99.5th percentile of the absolute values of all panels, because with the
    maximum a few outliers would make everything else grey. Values beyond it get the end colours, and the colour bar has arrows.
    The rows of a panel are the C* affinities, its columns the C channels of the RoI vectors.

    Args:
        affinity: Y of shape (C*, C), array or tensor, or a list of them, one per slice.
        titles: title of each panel, such as 'COVID-19\\n12/345/0034.png': class and slice.
        columns: number of panels per row; by default all.

    Returns:
        The figure, for :func:`save_figure`.

    Raises:
        ValueError: if there is nothing to draw, a matrix is not a finite (C*, C) matrix, the number of titles differs,
            or ``columns`` is not above 0.
    """
    single = not isinstance(affinity, (list, tuple))
    matrices = [to_array(matrix) for matrix in ([affinity] if single else affinity)]
    titles = [titles] if isinstance(titles, str) else titles
    titles = [f'slice {index}' for index in range(1, len(matrices) + 1)] if titles is None else list(titles)
    _check(matrices, titles, columns)
    columns = min(columns or len(matrices), len(matrices))
    rows = -(-len(matrices) // columns)
    sizes = np.abs(np.concatenate([matrix.ravel() for matrix in matrices]))
    # The percentile of a sparse Y may be 0, and an all-zero Y still needs a scale of nonzero width.
    limit = float(np.percentile(sizes, 99.5)) or float(sizes.max()) or 1.0

    panel_height = 1.75 + 0.035 * max(len(matrix) for matrix in matrices)
    figure = Figure(figsize=(1.1 + 4.1 * columns, 0.55 + rows * panel_height), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        if index >= len(matrices):
            axis.set_axis_off()
            continue
        heat_map = axis.imshow(
            matrices[index], cmap=AFFINITY_COLORS, vmin=-limit, vmax=limit, aspect='auto', interpolation='nearest'
        )
        title = '\n'.join(textwrap.fill(line, 42) for line in titles[index].split('\n'))
        axis.set_title(title, fontsize=10, parse_math=False)
        axis.set_xlabel('channel (C)')
        axis.set_ylabel('affinity (C*)')
        axis.locator_params(axis='y', integer=True, nbins=8)
        axis.locator_params(axis='x', integer=True, nbins=6)
    extend = 'both' if sizes.max() > limit else 'neither'
    figure.colorbar(heat_map, ax=axes, label='affinity Y', extend=extend, pad=0.02, aspect=20 * rows)
    figure.supxlabel(SHORT_NOTICE, x=0.995, ha='right', fontsize=7, color='0.35')
    return figure


def _check(matrices: Sequence[np.ndarray], titles: Sequence[str], columns: int | None) -> None:
    if not matrices:
        raise ValueError('no affinity matrix to draw: pass Y of at least one slice')
    for matrix, title in zip(matrices, titles):
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise ValueError(f'the affinity matrix of {title!r} has shape {matrix.shape}, not (C*, C)')
        if not np.isfinite(matrix).all():
            number = int(np.count_nonzero(~np.isfinite(matrix)))
            raise ValueError(
                f'the affinity matrix of {title!r} has {plural(number, "value")} that {"is" if number == 1 else "are"} not '
                'finite: check whether training diverged, for example because the learning rate was too high'
            )
    if len(titles) != len(matrices):
        raise ValueError(f'{plural(len(titles), "title", "was")} given for {len(matrices)} affinity matrices: pass as many')
    if columns is not None and columns < 1:
        raise ValueError(f'columns={columns} must be at least 1')
