"""The page of tested models: confusion matrices that open their slices, reliability, ROC, disagreements of two models."""
import base64
from collections.abc import Iterator, Mapping
from typing import Any

from .document import document, json_block, text_block


def run_page(content: dict[str, Any], pictures: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the page of one or several tested models in parts.

    Args:
        content: ``title``, ``runs`` as plain data, see :func:`mmaffinity.apis.run_pages.run_content`, and ``notes``.
        pictures: JPEG files by the key that the slices of the runs name.
    """
    def blocks() -> Iterator[str]:
        yield json_block(dict(content, pictured=len(pictures)), id='head')
        for key, picture in pictures.items():
            yield text_block(base64.b64encode(picture).decode('ascii'), data_picture=key)

    return document('run.html', content['title'], ('vendor/uPlot.min.css', 'page.css', 'gallery.css'),
                    ('vendor/uPlot.iife.min.js', 'common.js', 'gallery.js', 'run.js'), blocks())
