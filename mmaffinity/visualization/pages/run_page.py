"""Pages of slices as pictures: tested models, and findings of a verification."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from .document import document, json_block, text_block


def run_page(content: dict[str, Any], pictures: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the page of one or several tested models in parts.

    Args:
        content: ``title``, ``notes``, ``pairs`` (whether a picture has truth and prediction side by side), ``figures``
            (``title``, ``text`` and ``picture``), and ``runs`` as plain data, see
            :func:`mmaffinity.apis.run_pages.run_content`.
        pictures: JPEG or PNG files by the key that slices and figures name.
    """
    return _page('run', content, pictures)


def findings_page(content: dict[str, Any], pictures: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the page of a verification in parts.

    Args:
        content: as in :func:`mmaffinity.apis.verification_page.verification_page`.
        pictures: JPEG files by the key that the cases name.
    """
    return _page('findings', content, pictures)


def _page(name: str, content: dict[str, Any], pictures: Mapping[str, bytes]) -> Iterator[bytes]:
    def blocks() -> Iterator[str]:
        yield json_block(content, id='head')
        for key, picture in pictures.items():
            kind = 'png' if picture.startswith(b'\x89PNG') else 'jpeg'
            yield text_block(base64.b64encode(picture).decode('ascii'), data_picture=key, data_kind=kind)

    return document(
        f'{name}.html',
        content['title'],
        ('vendor/uPlot.min.css', 'page.css', 'gallery.css'),
        ('vendor/uPlot.iife.min.js', 'common.js', 'gallery.js', f'{name}.js'),
        blocks(),
    )
