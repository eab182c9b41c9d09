"""Saving of images and figures as PNG or PDF, never partially written."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from mmaffinity.utils.files import whole_file

FIGURE_FORMATS = ('.png', '.pdf')


def write_atomically(path: str | Path, content: bytes) -> Path:
    """Write a file so that it is either complete or absent; its folder is created if needed.

    Raises:
        ValueError: if ``path`` is a folder, or one of its parent folders is a file.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'cannot write {path}: it is a folder; choose the name of a file in it')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f'cannot write {path}: one of its parent folders is a file; choose another folder') from error
    # The process ID prevents two processes that write the same file from interfering.
    with whole_file(path, path.with_name(f'.{path.name[:100]}.{os.getpid()}.part'), sync=False) as file:
        file.write(content)
    return path


def save_image(image: np.ndarray, path: str | Path) -> Path:
    """Save an image as PNG.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        path: file to write, ending in ``.png``.

    Returns:
        The written path.

    Raises:
        ValueError: if the array is not such an image, or the file name does not end in ``.png``.
    """
    path = Path(path)
    if path.suffix.lower() != '.png':
        raise ValueError(f'images are written as PNG, but the name is {path}: use the extension .png')
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f'an image to save must be RGB uint8 of shape (H, W, 3), not {image.dtype} of shape {image.shape}')
    return write_atomically(path, cv2.imencode('.png', np.ascontiguousarray(image[..., ::-1]))[1].tobytes())


def save_figure(figure: Figure, path: str | Path, dpi: int = 200) -> Path:
    """Save a figure as PNG or PDF, according to its file name.

    Args:
        figure: a figure, for example from :func:`draw_affinity` or :func:`draw_confusion_matrix`.
        path: file to write, ending in ``.png`` or ``.pdf``.
        dpi: pixels per inch of a PNG file, and of heat maps in a PDF file.

    Returns:
        The written path.

    Raises:
        ValueError: if the file name has another extension.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FIGURE_FORMATS:
        raise ValueError(f'figures are written as PNG or PDF, but the name is {path}: use the extension .png or .pdf')
    return write_atomically(path, encode_figure(figure, suffix, dpi))


def encode_figure(figure: Figure, suffix: str = '.png', dpi: int = 200) -> bytes:
    """Return a figure as the content of a PNG or PDF file.

    Args:
        figure: the figure.
        suffix: one of :data:`FIGURE_FORMATS`.
        dpi: see :func:`save_figure`.
    """
    # Without a date, the same figure always yields the same file.
    metadata = {'CreationDate': None} if suffix == '.pdf' else None
    content = io.BytesIO()
    figure.savefig(content, format=suffix[1:], dpi=dpi, metadata=metadata)
    return content.getvalue()
