"""An approximate, threshold-based lung mask, as a reference for lesion area; labelled as such wherever used."""

import numpy as np

from .windowing import Window

METHOD = (
    'threshold mask (below -400 HU inside the body), approximate: airways and bowel gas count as lung, dense '
    'lesions only where the model found them'
)
AIR_LIMIT = -400.0  # HU, midway between lung and soft tissue
MIN_COMPONENT = 0.001  # share of the slice's pixels; smaller components are bowel gas, mediastinal vessels or noise
MIN_LUNG = 0.005


def simple_lung_mask(grey: np.ndarray, window: Window, lesions: np.ndarray | None = None) -> np.ndarray | None:
    """Segment the lungs of a slice, if they are surrounded by a body.

    Args:
        grey: shape (H, W), 8-bit grey levels.
        window: their Hounsfield window.
        lesions: boolean (H, W), counted as lung.

    Returns:
        Boolean (H, W); None if the window does not separate lung from tissue, or no lung is found (slices cropped to the lungs,
        for example, have no body around them).
    """
    from scipy import ndimage  # not above: it takes longer to import than the rest of mmaffinity.scans

    limit = window.grey(AIR_LIMIT)
    if not 0 < limit < 255:
        return None
    tissue, number = ndimage.label(grey >= limit)
    if number == 0:
        return None
    sizes = np.bincount(tissue.ravel())
    body = tissue == int(sizes[1:].argmax()) + 1
    inside = ndimage.binary_fill_holes(body) & ~body & (grey < limit)
    parts, number = ndimage.label(inside)
    sizes = np.bincount(parts.ravel(), minlength=1)
    large = sizes >= MIN_COMPONENT * grey.size
    large[0] = False
    lungs = large[parts]
    if np.count_nonzero(lungs) < MIN_LUNG * grey.size:
        return None
    return lungs if lesions is None else lungs | lesions
