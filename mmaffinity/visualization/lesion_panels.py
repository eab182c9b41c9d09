"""Figure of segmented slices: prediction, mask scores and ground truth (the paper's Figure 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmaffinity.utils.provenance import SHORT_NOTICE
from mmaffinity.utils.wording import plural

from .overlays import to_rgb

PREDICTED, TRUE = '#ffb828', '#46e1ff'


@dataclass
class LesionPanel:
    """A row of the figure, one slice.

    Attributes:
        image: the slice, in the form accepted by :func:`draw_overlay`.
        title: its name and classification.
        boxes: predicted boxes, x1 y1 x2 y2 in pixels of the slice, shape (n, 4).
        scores: scores of the boxes, shape (n,).
        mask_scores: lesion probability of each pixel for each object, float in [0, 1], shape (n, H, W).
        true_masks: boolean, shape (m, H, W).
    """

    image: np.ndarray
    title: str
    boxes: np.ndarray
    scores: np.ndarray
    mask_scores: np.ndarray
    true_masks: np.ndarray


def draw_lesion_panels(panels: Sequence[LesionPanel], score_thr: float = 0.5) -> Figure:
    """Draw three panels per slice: boxes with scores and masks, sigmoid mask scores, ground truth.

    Args:
        panels: one per slice.
        score_thr: objects with a lower score are omitted from the first two panels, and counted.

    Returns:
        The figure, for :func:`save_figure`.

    Raises:
        ValueError: if there are no slices, or masks do not have the slice's shape.
    """
    if not panels:
        raise ValueError('no slice to draw: pass at least one with lesion annotations')
    figure = Figure(figsize=(11.2, 0.5 + 3.75 * len(panels)), layout='constrained')
    axes = figure.subplots(len(panels), 3, squeeze=False)
    for row, panel in zip(axes, panels):
        rgb = to_rgb(panel.image)
        for what, masks in (('predicted', panel.mask_scores), ('true', panel.true_masks)):
            if len(masks) and masks.shape[1:] != rgb.shape[:2]:
                raise ValueError(
                    f'the {what} masks of {panel.title} have shape {masks.shape[1:]}, but the slice has {rgb.shape[:2]}: '
                    'pass both at the size of the slice on disk'
                )
        keep = panel.scores >= score_thr
        boxes, scores, masks = panel.boxes[keep], panel.scores[keep], panel.mask_scores[keep]
        hidden = int((~keep).sum())
        for axis in row:
            axis.imshow(rgb, interpolation='nearest')
            axis.set_axis_off()
        row[0].set_title(
            f'{panel.title}\npredicted: {_count(len(scores))}'
            + (f', {hidden} below score {score_thr:g} not shown' if hidden else ''),
            fontsize=8,
            parse_math=False,
        )
        _outlines(row[0], masks >= 0.5, PREDICTED, 'solid')
        for (x1, y1, x2, y2), score in zip(boxes, scores):
            row[0].add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor='white', linewidth=0.9))
            row[0].text(
                x1,
                y1 - 1,
                f'{score:.2f}',
                fontsize=6.5,
                color='white',
                va='bottom',
                bbox=dict(facecolor='black', edgecolor='none', pad=0.6, alpha=0.75),
            )
        union = masks.max(0) if len(masks) else np.zeros(rgb.shape[:2])
        row[1].set_title('lesion probability by pixel (sigmoid),\nmaximum over objects', fontsize=8)
        # The lightness of the colour map is monotonic, so a grayscale print preserves the order.
        heat_map = row[1].imshow(union, cmap='inferno', vmin=0, vmax=1, interpolation='nearest')
        figure.colorbar(heat_map, ax=row[1], fraction=0.045, pad=0.02)
        row[2].set_title(f'ground truth: {_count(len(panel.true_masks))}', fontsize=8)
        _outlines(row[2], panel.true_masks.astype(bool), TRUE, 'dashed')
    figure.supxlabel(
        f'solid outline: predicted mask, score above its box; dashed outline: true lesion. {SHORT_NOTICE}',
        fontsize=7,
        color='0.35',
    )
    return figure


def _outlines(axis: Any, masks: np.ndarray, color: str, style: str) -> None:
    for mask in masks:
        if mask.any():
            padded = np.pad(mask, 1).astype(float)  # closes the outlines of masks at the border
            at = np.arange(-1, padded.shape[1] - 1), np.arange(-1, padded.shape[0] - 1)
            axis.contour(*at, padded, [0.5], colors='black', linewidths=2.4)
            axis.contour(*at, padded, [0.5], colors=color, linewidths=1.3, linestyles=style)


def _count(num: int) -> str:
    return plural(num, 'lesion') if num else 'no lesion'
