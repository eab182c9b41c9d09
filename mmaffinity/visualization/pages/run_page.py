"""Pages with images of slices: tested models, and findings of a verification."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .document import document, json_block, text_block


def run_page(content: dict[str, Any], pictures: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the page of one or several tested models in parts.

    Args:
        content: ``title``, ``notes``, ``drawn`` (what the right half of an image shows), ``test`` (whether it is one test
            run), ``figures`` (``title``, ``text`` and ``picture``), and ``runs`` as plain data, see
            :func:`mmaffinity.apis.run_pages.run_content`.
        pictures: contents of JPEG or PNG files, by the key in slices and figures.
    """
    parts = ('metrics', 'slices', 'curves', 'lesions', 'compare')
    scripts = ('vendor/uPlot.iife.min.js', 'lines.js', *(f'run_{part}.js' for part in parts), 'run.js')
    return _page('run', content, pictures, scripts)


def findings_page(content: dict[str, Any], pictures: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the page of a verification in parts.

    Args:
        content: as in :func:`mmaffinity.apis.verification_page.verification_page`.
        pictures: contents of JPEG files, by the key in the cases.
    """
    return _page('findings', content, pictures, ('findings.js',))


def _page(name: str, content: dict[str, Any], pictures: Mapping[str, bytes], scripts: Sequence[str]) -> Iterator[bytes]:
    def blocks() -> Iterator[str]:
        yield json_block(content, id='head')
        for key, picture in pictures.items():
            kind = 'png' if picture.startswith(b'\x89PNG') else 'jpeg'
            yield text_block(base64.b64encode(picture).decode('ascii'), data_picture=key, data_kind=kind)

    return document(
        f'{name}.html',
        content['title'],
        ('vendor/uPlot.min.css', 'page.css', 'gallery.css'),
        ('common.js', 'gallery.js', *scripts),
        blocks(),
    )
