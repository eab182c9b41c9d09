"""Reading of masks that are images whose pixel values are labels."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from mmaffinity.utils.decoding import PHOTOMETRIC

GGO, CONSOLIDATION = 2, 3  # values in the masks of CNCB-NCOV; 0 is background, 1 is lung, which counts as background


def read_label_mask(path: Path) -> np.ndarray:
    """Read a mask with any labels.

    Args:
        path: PNG or another lossless format: grayscale, a palette whose indices are the labels, or three equal channels.

    Returns:
        The labels as stored in the file, shape (H, W); 0 and 1 for a 1-bit file, 0 to 3 for a 2-bit file.

    Raises:
        ValueError: if the file is not an image, is a JPEG or a TIFF in which 0 means white, has coloured pixels, or has
            negative or fractional values.
    """
    try:
        with Image.open(path) as image:
            lossy = image.format == 'JPEG'
            inverted = image.format == 'TIFF' and getattr(image, 'tag_v2', {}).get(PHOTOMETRIC) == 0
            step = _label_step(image)
            values = np.array(image)  # a palette image gives its indices
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f'the mask {path} cannot be read ({error}): save it again as PNG, or unpack its archive again'
        ) from None
    if lossy:
        raise ValueError(f'the mask {path} is a JPEG, which alters labels at their borders: export it again as PNG')
    if inverted:
        # Programs disagree on its values; Pillow inverts them, which would make lesions of the background.
        raise ValueError(f'the mask {path} is a TIFF in which 0 means white: export it again as PNG')
    if values.ndim == 3:
        # A fourth channel, or the second of two, is opacity.
        colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise ValueError(f'the mask {path} has coloured pixels: export it again with one channel of labels')
        values = colours[..., 0]
    if values.dtype == bool:
        return values.astype(np.uint8)
    if step > 1:
        return values // step
    if values.dtype.kind == 'f' and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise ValueError(f'the mask {path} has fractional values: export it again with whole-number labels')
    if values.min(initial=0) < 0:
        raise ValueError(f'the mask {path} has the value {values.min():g}: labels must be whole numbers of at least 0')
    return values


def _label_step(image: Image.Image) -> int:
    """Return the distance between the grey levels to which Pillow expands adjacent labels: 0 to 255 in 3 or 15 steps."""
    tiles = getattr(image, 'tile', ())  # with the arguments of the decoder, of which the first names the packing
    match = re.match(r'\W*L;([24])', str(tiles[0][3])) if tiles else None
    return 255 // (2 ** int(match[1]) - 1) if match else 1


def read_lesion_mask(path: Path) -> np.ndarray:
    """Read a mask of CNCB-NCOV: 0 background, 1 lung, 2 ground-glass opacity, 3 consolidation.

    Args:
        path: see :func:`read_label_mask`.

    Returns:
        The values, uint8, shape (H, W).

    Raises:
        ValueError: as for :func:`read_label_mask`, or if there are other values.
    """
    values = read_label_mask(path)
    # Checked before the conversion to uint8, which would wrap 256 to 0.
    if values.max(initial=0) > CONSOLIDATION:
        foreign = sorted(set(np.unique(values).tolist()) - {0, 1, 2, 3})
        raise ValueError(
            f'the mask {path} has the values {", ".join(map(str, foreign[:5]))}; only 0 (background), 1 (lung), '
            '2 (ground-glass opacity) and 3 (consolidation) are allowed: relabel your own masks, for example '
            '255 as 2, or unpack the archive of published ones again'
        )
    return values.astype(np.uint8)
