"""Figure of the attribution of each class to the RoIs, drawn on the slice."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmaffinity.utils.provenance import SHORT_NOTICE

from .overlays import to_rgb
from .sample_arrays import rank_text, ranks_by_box

FOR, AGAINST = '#e8a94a', '#386cb8'
MAX_BARS = 12
# Size of a label as a share of the panel, for the font and panel sizes below.
LABEL_CHARACTER, LABEL_MARGIN, LABEL_HEIGHT = 0.0215, 0.012, 0.055


def draw_evidence(
    image: np.ndarray,
    boxes: np.ndarray,
    contributions: np.ndarray,
    rest: np.ndarray,
    class_names: Sequence[str],
    title: str = '',
    slice_roi: bool = False,
) -> Figure:
    """Draw the attribution of each class to the RoIs.

    :func:`mmaffinity.models.cls_heads.roi_evidence` explains what is exact and what is a first-order attribution: z is exactly
    a sum over the RoIs, z = X^T (W v); the contribution of each summand to a logit assumes the state of the classifier's ReLUs
    at this z. The contributions and the rest add up exactly to the logit.

    Each class has a column. At the top, the slice shows the RoIs: solid and bright if they support the class, dashed and dark
    if they oppose it, with a wider line for a larger share; labels show rank and share. Below, bars show the contributions to
    the logit, the rest and the sum.

    Args:
        image: the slice, in the form accepted by :func:`draw_overlay`.
        boxes: boxes of the beta ranked RoIs, x1 y1 x2 y2 in pixels of the slice, shape (beta, 4). Repeated boxes, which
            pad a short list, are drawn once with the sum of their contributions.
        contributions: contribution of each RoI to each logit, shape (beta, K).
        rest: part of each logit that comes from no RoI, shape (K,).
        class_names: names of the K classes.
        title: title of the figure: name of the slice, its class, the prediction.
        slice_roi: whether the last RoI is the whole slice, which has no rank.

    Returns:
        The figure, for :func:`save_figure`.

    Raises:
        ValueError: if the shapes do not match.
    """
    boxes, contributions, rest = (np.asarray(values, dtype=np.float64) for values in (boxes, contributions, rest))
    num_classes = len(class_names)
    if (
        boxes.ndim != 2
        or boxes.shape[1:] != (4,)
        or not len(boxes)
        or contributions.shape != (len(boxes), num_classes)
        or rest.shape != (num_classes,)
    ):
        raise ValueError(
            f'the attribution of {num_classes} classes needs boxes (beta, 4), contributions (beta, {num_classes}) and '
            f'rest ({num_classes},), not {boxes.shape}, {contributions.shape} and {rest.shape}'
        )
    boxes, contributions, names = _merge_repeats(boxes, contributions, slice_roi)
    totals = np.abs(contributions).sum(0)
    shares = contributions / np.where(totals > 0, totals, 1)
    rgb = to_rgb(image)
    bars = min(len(boxes), MAX_BARS)

    figure = Figure(figsize=(0.8 + 3.6 * num_classes, 4.4 + 0.24 * (bars + 2)), layout='constrained')
    axes = figure.subplots(2, num_classes, squeeze=False, height_ratios=[3.3, 0.5 + 0.24 * (bars + 2)])
    limit = 1.6 * max(np.abs(contributions).max(), np.abs(rest).max(), np.abs(contributions.sum(0) + rest).max(), 1e-6)
    for column, name in enumerate(class_names):
        logit = contributions[:, column].sum() + rest[column]
        upper, lower = axes[:, column]
        upper.imshow(rgb, interpolation='nearest')
        upper.set_axis_off()
        upper.set_title(
            f'{name}: logit {_signed(logit)}, probability {1 / (1 + np.exp(-logit)):.3f}', fontsize=9, parse_math=False
        )
        _draw_boxes(upper, boxes, shares[:, column], names)
        _draw_bars(lower, contributions[:, column], shares[:, column], rest[column], logit, names, bars)
        lower.set_xlim(-limit, limit)
    if title:
        figure.suptitle(title, fontsize=10, parse_math=False)
    left_out = 'biases, and the RoIs without a bar' if len(boxes) > bars else 'not from any RoI (biases)'
    foot = (
        'solid, bright: for the class; dashed, dark: against it; #: rank of the RoI; '
        f'{"slice: the whole slice as a RoI; " * slice_roi}%: share of the contributions of all RoIs to that class; '
        f'rest: {left_out}; logit: the sum.'
    )
    foot = textwrap.fill(foot, int(17 * figure.get_figwidth()))
    figure.supxlabel(f'{foot}\n{SHORT_NOTICE}', fontsize=7, color='0.35')
    return figure


def _merge_repeats(boxes: np.ndarray, contributions: np.ndarray, slice_roi: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    groups = ranks_by_box(boxes[: len(boxes) - slice_roi])
    names = [f'#{rank_text(ranks)}' for ranks in groups]
    if slice_roi:
        groups, names = [*groups, [len(boxes)]], [*names, 'slice']
    places = [np.array(ranks) - 1 for ranks in groups]
    return boxes[[own[0] for own in places]], np.stack([contributions[own].sum(0) for own in places]), names


def _draw_boxes(axis: Any, boxes: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> None:
    for index in np.argsort(np.abs(shares)):  # largest share last, on top
        (x1, y1, x2, y2), share = boxes[index], shares[index]
        style = dict(color=FOR, linestyle='-') if share >= 0 else dict(color=AGAINST, linestyle=(0, (3, 2)))
        width = 1 + 3 * abs(share)
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor='black', linewidth=width + 1.4))
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, linewidth=width, **style))
    taken: list[tuple[float, float, float]] = []
    height, width = axis.get_images()[0].get_array().shape[:2]
    for index in np.argsort(-np.abs(shares)):
        text = f'{names[index]} {_percent(shares[index])}'
        wide = (LABEL_CHARACTER * len(text) + LABEL_MARGIN) * width
        spot = _free_spot(boxes[index], wide, taken, width, height)
        if spot is None:
            continue  # its bar below shows the same
        taken.append((*spot, wide))
        axis.text(
            spot[0] + wide / 2,
            spot[1],
            text,
            fontsize=6.5,
            color='white',
            ha='center',
            va='bottom',
            bbox=dict(facecolor='black', edgecolor='none', pad=0.8, alpha=0.75),
        )


def _free_spot(
    box: np.ndarray, wide: float, taken: Sequence[tuple[float, float, float]], width: int, height: int
) -> tuple[float, float] | None:
    """Return the lower left corner of a label at a box that overlaps no other label, in pixels of the slice, or None."""
    high = LABEL_HEIGHT * height
    x1, y1, x2, y2 = box
    # Above, below, right, left, then on the box itself. A label touches its box to show that it belongs to it.
    for x, y in (
        (x1, y1),
        (x1, y2 + high),
        (x2 - wide, y1),
        (x2 - wide, y2 + high),
        (x2, y1 + high),
        (x2, y2),
        (x1 - wide, y1 + high),
        (x1 - wide, y2),
        ((x1 + x2 - wide) / 2, (y1 + y2 + high) / 2),
    ):
        x, y = min(max(x, 0), max(width - wide, 0)), min(max(y, high), height - 1)
        if all(x >= a + b or a >= x + wide or abs(y - c) >= high for a, c, b in taken):
            return x, y
    return None


def _draw_bars(
    axis: Any, contributions: np.ndarray, shares: np.ndarray, rest: float, logit: float, names: Sequence[str], bars: int
) -> None:
    kept = np.sort(np.argsort(-np.abs(contributions), kind='stable')[:bars])
    left_out = len(contributions) - len(kept)
    labels = [names[index] for index in kept] + ['rest' if not left_out else f'rest, {left_out} RoIs', 'logit']
    others = contributions.sum() - contributions[kept].sum()
    values = [*contributions[kept], rest + others, logit]
    notes = [f'{_signed(contributions[index])}  ({_percent(shares[index])})' for index in kept]
    notes += [_signed(rest + others), _signed(logit)]
    places = np.arange(len(values))[::-1]
    for place, value, note, label in zip(places, values, notes, labels):
        plain = label == 'logit' or label.startswith('rest')
        color = '0.55' if plain else FOR if value >= 0 else AGAINST
        axis.barh(place, value, 0.72, color=color, edgecolor='black', linewidth=0.7, hatch='' if value >= 0 else '///')
        axis.annotate(
            note,
            (value, place),
            (3 if value >= 0 else -3, 0),
            textcoords='offset points',
            va='center',
            fontsize=6.5,
            ha='left' if value >= 0 else 'right',
        )
    axis.axhline(0.5, color='0.3', linewidth=0.8)
    axis.axvline(0, color='0.3', linewidth=0.8)
    axis.set_yticks(places, labels, fontsize=7)
    axis.tick_params(axis='x', labelsize=7)
    axis.set_xlabel('contribution to the logit', fontsize=8)


def _signed(value: float) -> str:
    return _unsigned_zero(f'{value:+.2f}')


def _percent(share: float) -> str:
    return f'{_unsigned_zero(f"{100 * share:+.0f}")} %'


def _unsigned_zero(number: str) -> str:
    """Format a number with a proper minus sign; a number that rounds to 0 has no sign."""
    return number.replace('-', '\u2212') if float(number) else number.lstrip('+-')
