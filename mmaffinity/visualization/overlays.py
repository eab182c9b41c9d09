"""Overlay of a slice with its lesions, its class, and the RoIs used for it."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmaffinity.utils.wording import plural

from .captions import PAPER, Caption, draw_caption
from .drawing import (
    ROI_COLOR,
    TAG_COLOR,
    TRUTH_COLOR,
    Labels,
    box_corners,
    draw_dashes,
    lesion_color,
    mask_outlines,
    rectangle_points,
    tint,
)
from .sample_arrays import (
    Lesions,
    predicted_lesions,
    rank_text,
    ranked_rois,
    sample_name,
    slice_probabilities,
    true_class,
    true_lesions,
)

MIN_CAPTION_WIDTH = 560  # pixels; a narrower caption would need too many rows
MAX_LABELS = 50  # more would hide the lesions
MANY = 20  # above this number of lesions, lines and labels are smaller


def picture_scale(height: int, width: int, min_size: int = 768) -> int:
    """Return the magnification of a slice: image pixels per slice pixel, along each side."""
    return max(1, -(-min_size // max(height, width)))


def draw_overlay(
    image: np.ndarray,
    sample: Any,
    class_names: Sequence[str] | None,
    score_thr: float = 0.5,
    max_objects: int = 100,
    show_gt: bool = True,
    show_pred: bool = True,
    show_rois: bool = False,
    lesion_names: Sequence[str] = ('lesion',),
    name: str | None = None,
    min_size: int = 768,
) -> np.ndarray:
    """Draw a slice with predicted and true lesions above a caption strip with class and probabilities.

    The slice is at the top left, enlarged by :func:`picture_scale` without interpolation, so pixels that are not drawn on keep
    their values. The caption never covers it. Predicted lesions are tinted, with a solid outline and box; outlines of true
    lesions are dashed and RoIs dotted, so that grayscale prints are readable.

    Args:
        image: the slice, shape (H, W), (H, W, 1) or RGB (H, W, 3): uint8, or float in 8-bit grey levels (0 to 255).
        sample: a :class:`SliceDataSample` with any of its predictions and ground truth.
        class_names: names of the K slice classes, in the order of the model's outputs; None to number them.
        score_thr: lesions with a lower score are omitted (and counted in the caption).
        max_objects: maximum number of lesions drawn (highest scores first), and of RoIs.
        show_gt: draw the ground truth, if known: lesion outlines, true class.
        show_pred: draw the prediction.
        show_rois: draw the RoIs used for classification, with rank and weight (W v)_k, z = X^T (W v) (Eqs. 3, 6).
        lesion_names: names of the lesion classes.
        name: name of the slice in the caption; by default patient/scan/file.
        min_size: minimum size of the slice's longer side in pixels.

    Returns:
        RGB uint8, shape (H s + h, max(W s, 560), 3), with scale s and caption height h.

    Raises:
        ValueError: if the image is not such an array, masks do not have the slice's shape, or the numbers of names and
            probabilities differ.
    """
    grey_rgb = to_rgb(image)
    name = sample_name(sample) if name is None else name
    if max_objects < 0:
        raise ValueError(f'max_objects is {max_objects}: it must be 0 or more')
    shape = grey_rgb.shape[0], grey_rgb.shape[1]
    scale = picture_scale(shape[0], shape[1], min_size)
    picture = grey_rgb.repeat(scale, axis=0).repeat(scale, axis=1)
    size = picture.shape[0], picture.shape[1]
    caption = Caption(*_class_lines(sample, class_names, name, show_gt, show_pred), legend=[], notes=[], name=name)
    labels = Labels(size, _font_size(picture.shape[1], 0))

    predicted = predicted_lesions(sample, shape) if show_pred else None
    if predicted is not None:
        confident = predicted.select(np.asarray(predicted.scores) >= score_thr)
        shown = confident.select(np.arange(min(len(confident), max_objects)))
        labels = Labels(size, _font_size(picture.shape[1], len(shown)))
        draw_lesions(picture, shown, scale)
        caption.legend += _lesion_legend(shown, lesion_names)
        caption.notes.append(_count(len(shown), len(confident), len(predicted), score_thr))
    elif show_pred:
        caption.notes.append('lesions: not predicted')

    truth = true_lesions(sample, shape) if show_gt else None
    if truth is not None:
        draw_truth(picture, truth, scale)
        if len(truth):
            caption.legend.append(('truth', 'true lesion'))
        caption.notes.append(f'true lesions: {len(truth) or "none"}')

    rois = ranked_rois(sample)[:max_objects] if show_rois and show_pred else []
    for box, _, _ in rois:
        corners = box_corners(box, scale, size)
        draw_dashes(picture, rectangle_points(corners), ROI_COLOR, 1, dash=2, gap=4)
    for box, ranks, weight in rois:
        text = f'#{rank_text(ranks)}' + ('' if weight is None else f' {weight:+.2f}'.replace('-', '\u2212'))
        labels.add(text, box_corners(box, scale, size), ROI_COLOR)
    if rois:
        weighted = rois[0][2] is not None
        caption.legend.append(('roi', 'RoI used for the class: #rank' + (', weight (W v)' if weighted else '')))
    if predicted is not None:
        labels.num_left_out += max(len(shown) - MAX_LABELS, 0)
        for box, score, label in zip(shown.boxes[:MAX_LABELS], np.asarray(shown.scores), shown.labels):
            text = f'{score:.2f}' if len(lesion_names) == 1 else f'{_name(lesion_names, label)} {score:.2f}'
            labels.add(text, box_corners(box, scale, size), lesion_color(label))
    if labels.num_left_out:
        caption.notes.append(f'labels omitted for lack of space: {labels.num_left_out}')
    return _stack(labels.draw(picture), caption)


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Return a slice as RGB uint8 (H, W, 3).

    Raises:
        ValueError: if the array is not a slice, or has 16 bits that were not converted to 8-bit grey levels.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise ValueError(f'a slice to draw must have shape (H, W) or (H, W, 3), not {image.shape}')
    if image.dtype.kind == 'f':
        image = np.rint(np.nan_to_num(image).clip(0, 255)).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise ValueError(
            f'a slice to draw must be uint8, or float in 8-bit grey levels (0 to 255), not {image.dtype}: '
            'read 16-bit files with LoadCTSlice, which rescales them'
        )
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()


def _class_lines(
    sample: Any, class_names: Sequence[str] | None, name: str, show_gt: bool, show_pred: bool
) -> tuple[str, str | None, list[tuple[str, float, bool]]]:
    """Return the caption's headline, true class and probabilities."""
    predicted, scores = slice_probabilities(sample) if show_pred else (None, [])
    if class_names is not None and scores and len(class_names) != len(scores):
        raise ValueError(
            f'{plural(len(class_names), "class name", "was")} given ({", ".join(class_names)}), but the '
            f'prediction of {name} has {plural(len(scores), "probability")}: pass the slice classes with which the '
            'model was trained'
        )
    actual = true_class(sample) if show_gt else None
    truth = None
    if actual is not None:
        truth = f'truth: {_name(class_names, actual)}'
        if predicted is not None:
            truth += ' (agrees)' if actual == predicted else ' (differs)'
    if predicted is None:
        return 'No class predicted' if show_pred else 'Ground truth', truth, []
    cells = [(_name(class_names, index), score, index == predicted) for index, score in enumerate(scores)]
    return f'Predicted: {_name(class_names, predicted)}', truth, cells


def _name(names: Sequence[str] | None, index: int) -> str:
    return str(names[index]) if names is not None and 0 <= index < len(names) else f'class {index}'


def _font_size(width: int, num_objects: int) -> int:
    """Return the font size of labels, smaller if there are many objects but still readable."""
    size = width / (58 if num_objects <= MANY else 72)
    return int(np.clip(size, 11, 22))


def draw_lesions(picture: np.ndarray, lesions: Lesions, scale: int) -> None:
    """Draw tint, outline and box of each lesion, the highest score on top."""
    finely = len(lesions) > MANY
    if lesions.masks is not None:
        # Tint the union of each class once, so that overlapping lesions do not hide the anatomy.
        for label in np.unique(lesions.labels):
            union = lesions.masks[lesions.labels == label].any(axis=0)
            tint(picture, union.repeat(scale, axis=0).repeat(scale, axis=1), lesion_color(label))
        for mask, label in zip(lesions.masks[::-1], lesions.labels[::-1]):
            outlines = mask_outlines(mask, scale)
            if not finely:
                cv2.polylines(picture, outlines, True, TAG_COLOR, 4)  # for contrast on bright tissue and in grayscale
            cv2.polylines(picture, outlines, True, lesion_color(label), 1 if finely else 2)
    for box, label in zip(lesions.boxes[::-1], lesions.labels[::-1]):
        x1, y1, x2, y2 = box_corners(box, scale, picture.shape[:2])
        if not finely:
            cv2.rectangle(picture, (x1 - 1, y1 - 1), (x2 + 1, y2 + 1), TAG_COLOR, 1)
        cv2.rectangle(picture, (x1, y1), (x2, y2), lesion_color(label), 1)


def draw_truth(picture: np.ndarray, lesions: Lesions, scale: int) -> None:
    """Draw the dashed outline of each true lesion, or its box if there are no masks."""
    for index in range(len(lesions)):
        if lesions.masks is not None:
            outlines = mask_outlines(lesions.masks[index], scale)
        else:
            outlines = [rectangle_points(box_corners(lesions.boxes[index], scale, picture.shape[:2]))]
        for outline in outlines:
            draw_dashes(picture, outline, TRUTH_COLOR, 2, dash=7, gap=6)


def _lesion_legend(lesions: Lesions, lesion_names: Sequence[str]) -> list[tuple[str, str]]:
    style = 'box' if lesions.masks is None else 'lesion'
    labels = np.unique(lesions.labels)
    return [(f'{style}{label}', f'predicted {_name(lesion_names, label)}, score') for label in labels]


def _count(num_shown: int, num_confident: int, num_predicted: int, score_thr: float) -> str:
    """Describe how many of the predicted lesions are drawn."""
    if not num_predicted:
        return 'predicted lesions: none'
    text = f'predicted lesions with score \u2265 {score_thr:g}: {num_confident or "none"} of {num_predicted}'
    return text if num_shown == num_confident else f'{text} (drawn: the best {num_shown})'


def _stack(picture: np.ndarray, caption: Caption) -> np.ndarray:
    width = max(picture.shape[1], MIN_CAPTION_WIDTH)
    strip = draw_caption(caption, width)
    out = np.empty((picture.shape[0] + strip.shape[0], width, 3), dtype=np.uint8)
    out[:] = PAPER
    out[: picture.shape[0], : picture.shape[1]] = picture
    out[picture.shape[0] :] = strip
    return out
