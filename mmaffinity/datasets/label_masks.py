"""Reading of masks that are images whose pixel values are labels."""

from pathlib import Path

import numpy as np
from PIL import Image

GGO, CONSOLIDATION = 2, 3  # values in the masks of CNCB-NCOV; 0 is background, 1 is lung, which counts as background


def read_label_mask(path: Path) -> np.ndarray:
    """Read a mask of any labels.

    Args:
        path: A PNG or another lossless format: grey, with a palette whose indices are the labels, or with three equal channels.

    Returns:
        The labels as stored in the file, shape (H, W); those of a 1-bit file are 0 and 1.

    Raises:
        ValueError: if the file is no image, is a JPEG, has coloured pixels, or values below 0 or between whole numbers.
    """
    try:
        with Image.open(path) as image:
            lossy = image.format == 'JPEG'
            values = np.array(image)  # a palette image gives its indices
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f'the mask {path} cannot be read ({error}); save it again as PNG, or unpack its archive again'
        ) from None
    if lossy:
        raise ValueError(f'the mask {path} is a JPEG, which alters labels at their borders; export it again as PNG')
    if values.ndim == 3:
        # A fourth channel, or the second of two, is opacity.
        colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise ValueError(f'the mask {path} has coloured pixels; expected one channel of labels')
        values = colours[..., 0]
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == 'f' and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise ValueError(f'the mask {path} has values that are not whole numbers, as labels must be')
    if values.min(initial=0) < 0:
        raise ValueError(f'the mask {path} has the value {values.min():g}; labels are whole numbers from 0')
    return values


def read_lesion_mask(path: Path) -> np.ndarray:
    """Read a mask of CNCB-NCOV: 0 background, 1 lung, 2 ground glass opacity, 3 consolidation.

    Args:
        path: See :func:`read_label_mask`.

    Returns:
        The values, uint8, shape (H, W).

    Raises:
        ValueError: if the file is no such image or has other values, naming the file.
    """
    values = read_label_mask(path)
    # Compared before the conversion to uint8, which would fold 256 to 0.
    if values.max(initial=0) > CONSOLIDATION:
        foreign = sorted(set(np.unique(values).tolist()) - {0, 1, 2, 3})
        raise ValueError(
            f'the mask {path} has the values {", ".join(map(str, foreign[:5]))}; expected 0 background, '
            '1 lung, 2 ground glass opacity, 3 consolidation only: give masks of your own these values, '
            'for example 2 instead of 255; unpack those of an archive again'
        )
    return values.astype(np.uint8)
