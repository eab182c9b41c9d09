"""Arrays in memory as grayscale slices."""
import cv2
import numpy as np

from .decoding import to_grey_levels


def slice_of_array(img: np.ndarray, max_value: int | None = None, channel_order: str = 'bgr') -> np.ndarray:
    """Convert an array to a grayscale slice.

    Args:
        img: shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) (alpha is ignored), of type bool (black and white), uint8, uint16,
            or floating point with 8-bit grey levels (0 to 255).
        max_value: pixel value of white in uint16 arrays; None means 65535.
        channel_order: 'bgr' (as in OpenCV and MMDetection) or 'rgb'.

    Returns:
        Shape (H, W), uint8, or float32 with 8-bit grey levels.

    Raises:
        ValueError: if the shape, type or range of the array is not accepted.
    """
    if not isinstance(img, np.ndarray):
        raise ValueError(f'a slice must be a NumPy array, not {type(img).__name__}')
    if img.ndim not in (2, 3) or 0 in img.shape or (img.ndim == 3 and img.shape[2] not in (1, 3, 4)):
        raise ValueError(f'an array of shape {img.shape} is not a slice: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) '
                         'is needed')
    if not img.dtype.isnative:
        img = img.astype(img.dtype.newbyteorder('='))
    if img.dtype == np.bool_:
        img = img.astype(np.uint8) * np.uint8(255)
    elif np.issubdtype(img.dtype, np.floating):
        img = _check_float(img)
    elif img.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'an array of {img.dtype} has unknown range: map a window of Hounsfield units to grey '
                         'levels 0..255 (uint8 or float) first')
    if img.ndim == 3 and img.shape[2] == 1:
        img = img[..., 0]
    elif img.ndim == 3:
        code = cv2.COLOR_BGR2GRAY if channel_order == 'bgr' else cv2.COLOR_RGB2GRAY
        img = cv2.cvtColor(np.ascontiguousarray(img[..., :3]), code)
    if img.dtype == np.uint16:
        try:
            img = to_grey_levels(img, max_value)
        except ValueError as error:
            raise ValueError(f'the array {error}') from error
    return np.ascontiguousarray(img)


def check_max_value(max_value: int | None) -> None:
    """Check the pixel value of white.

    Raises:
        ValueError: if it is outside 1..65535.
    """
    if max_value is not None and not 1 <= max_value <= 65535:
        raise ValueError(f'max_value={max_value} must be within 1..65535, or None for the whole 16 bits')


def _check_float(img: np.ndarray) -> np.ndarray:
    low, high = float(img.min()), float(img.max())
    if not (low >= 0 and high <= 255):  # also catches NaN
        raise ValueError(f'a float array must hold grey levels 0..255, but this one has {low:g}..{high:g}')
    if 0 < high <= 1:
        raise ValueError(f'a float array must hold grey levels 0..255, but the brightest pixel is {high:g}: multiply '
                         'an array in 0..1 by 255')
    return img.astype(np.float32)
