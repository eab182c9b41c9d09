"""Self-contained HTML documents: one file with its styles, scripts and data, and no network access."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / 'assets'


def document(body: str, title: str, styles: Sequence[str], scripts: Sequence[str], blocks: Iterable[str]) -> Iterator[bytes]:
    """Yield a page in parts, so that its data need not be in memory all at once.

    A strict Content-Security-Policy allows exactly the page's own script and style, by their hashes: no inline event handlers,
    no evaluated code, no frames, forms or requests.

    Args:
        body: asset file with the content of ``<body>``.
        title: title of the page, escaped here.
        styles: CSS asset files, in order.
        scripts: JavaScript asset files, in order; they run after the data blocks.
        blocks: data blocks, from :func:`json_block` and :func:`text_block`.
    """
    style, script = (
        '\n'.join((ASSETS / name).read_text(encoding='utf-8').strip() for name in names) for names in (styles, scripts)
    )
    script = f"'use strict';\n{script}"
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    content = (ASSETS / body).read_text(encoding='utf-8')
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy, quote=False)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{content}'
    ).encode()
    for block in blocks:
        yield block.encode()
    yield f'<script>{script}</script>\n</body>\n</html>\n'.encode()


def _source(text: str) -> str:
    """Return a text's hash source for the Content-Security-Policy."""
    if '</' in text and any(end in text.lower() for end in ('</script', '</style')):
        raise ValueError('a script or style of a page contains its own end tag')
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def json_block(content: Any, **attributes: object) -> str:
    """Return data as a block that browsers do not execute and that no string in it can end.

    Raises:
        ValueError: if a number is NaN or infinite.
    """
    text = json.dumps(content, allow_nan=False, separators=(',', ':')).replace('<', '\\u003c')
    return f'<script type="application/json"{_attributes(attributes)}>{text}</script>\n'


def text_block(text: str, **attributes: object) -> str:
    """Return base64 text as a block that browsers do not execute."""
    return f'<script type="text/plain"{_attributes(attributes)}>{text}</script>\n'


def _attributes(attributes: Mapping[str, object]) -> str:
    return ''.join(f' {name.replace("_", "-")}="{html.escape(str(value))}"' for name, value in attributes.items())
