"""Small pictures of tested slices: ground truth on the left, prediction on the right."""

from typing import Any

import cv2
import numpy as np

from ..overlays import draw_lesions, draw_truth, to_rgb
from ..sample_arrays import predicted_lesions, true_lesions

SIDE = 320  # pixels of the longer side of one panel, so that 2000 pictures fit into a page
QUALITY = 82  # of JPEG


def panel_pair(image: np.ndarray, sample: Any, score_thr: float = 0.5) -> bytes:
    """Draw a slice twice, with its annotated and with its predicted lesions, where there are any.

    Args:
        image: the slice as the model saw it, in the form accepted by :func:`draw_overlay`.
        sample: its data sample.
        score_thr: lesions with a lower score are not drawn.

    Returns:
        A JPEG file.
    """
    truth, predicted = to_rgb(image), to_rgb(image)
    shape = truth.shape[:2]
    annotated, found = true_lesions(sample, shape), predicted_lesions(sample, shape)
    if annotated is not None:
        draw_truth(truth, annotated, 1)
    if found is not None and found.scores is not None:
        draw_lesions(predicted, found.select(np.flatnonzero(found.scores >= score_thr)), 1)
    return jpeg(np.concatenate([small(truth), small(predicted)], axis=1))


def small(picture: np.ndarray) -> np.ndarray:
    """Scale a picture down to :data:`SIDE` pixels."""
    scale = min(1.0, SIDE / max(picture.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def jpeg(picture: np.ndarray) -> bytes:
    """Encode an RGB or grayscale picture.

    Raises:
        ValueError: if it cannot be encoded.
    """
    bgr = picture[..., ::-1] if picture.ndim == 3 else picture
    done, encoded = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f'a picture of shape {picture.shape} cannot be encoded as JPEG')
    return encoded.tobytes()
