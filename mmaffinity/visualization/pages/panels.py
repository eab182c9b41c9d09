"""Small images of tested slices: ground truth on the left, prediction on the right."""

from typing import Any

import cv2
import numpy as np

from ..drawing import ROI_COLOR, box_corners, draw_dashes, rectangle_points
from ..overlays import draw_lesions, draw_truth, to_rgb
from ..sample_arrays import predicted_lesions, ranked_rois, true_lesions

SIDE = 320  # pixels of the longer side of one panel, so that 2000 images fit into a page
QUALITY = 82  # of JPEG
SCORE_THR = 0.5  # lesions with a lower score are not drawn
LESIONS, ROIS = f'predicted lesions with a score of at least {SCORE_THR}', 'RoIs used for classification'


def panel_pair(image: np.ndarray, sample: Any, score_thr: float = SCORE_THR) -> bytes:
    """Draw a slice twice: with its annotated lesions, and with its predicted lesions or else the RoIs used for its class.

    A slice is drawn once if it has no lesion annotations and the model predicts neither.

    Args:
        image: the slice as the model saw it, in the form accepted by :func:`draw_overlay`.
        sample: its data sample.
        score_thr: lesions with a lower score are not drawn.

    Returns:
        The content of a JPEG file.
    """
    truth, predicted = to_rgb(image), to_rgb(image)
    shape = (truth.shape[0], truth.shape[1])
    annotated, found = true_lesions(sample, shape), predicted_lesions(sample, shape)
    if annotated is not None:
        draw_truth(truth, annotated, 1)
    drawn = predicted_part(sample)
    if found is not None and found.scores is not None:
        draw_lesions(predicted, found.select(np.flatnonzero(found.scores >= score_thr)), 1)
    for box, _, _ in ranked_rois(sample) if drawn == ROIS else ():
        draw_dashes(predicted, rectangle_points(box_corners(box, 1, shape)), ROI_COLOR, 1, dash=2, gap=4)
    pair = [small(truth), small(predicted)] if drawn or annotated is not None else [small(truth)]
    return jpeg(np.concatenate(pair, axis=1))


def predicted_part(sample: Any) -> str | None:
    """Return what an image shows of a prediction: lesions, otherwise the RoIs used for its class; None if there is neither."""
    if sample.get('pred_instances') is not None:
        return LESIONS
    return ROIS if ranked_rois(sample) else None


def small(picture: np.ndarray) -> np.ndarray:
    """Scale an image down to :data:`SIDE` pixels."""
    scale = min(1.0, SIDE / max(picture.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def jpeg(picture: np.ndarray) -> bytes:
    """Encode an RGB or grayscale image as JPEG."""
    bgr = picture[..., ::-1] if picture.ndim == 3 else picture
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
