"""Documents: nothing of their data is parsed as HTML, and their policy allows their own code only."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from mmaffinity.visualization.pages.document import ASSETS, document, json_block, text_block

HOSTILE = '</script><img src=x onerror=alert(1)>"\'&<!--\u2028'


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.title = [], [], ''
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, text):
        self.texts.append((self.tags[-1][0] if self.tags else '', text))


def test_hostile_text_stays_text():
    blocks = [json_block({'name': HOSTILE}, id='head'), text_block('QUJD', data_name=HOSTILE)]
    read = Reader(b''.join(document('index.html', HOSTILE, ['page.css'], ['common.js'], blocks)).decode())
    assert 'img' not in [tag for tag, _ in read.tags]
    assert ''.join(text for tag, text in read.texts if tag == 'title').strip('\n') == HOSTILE
    found = next(text for (tag, text) in read.texts if tag == 'script' and 'name' in text)
    assert json.loads(found) == {'name': HOSTILE}
    assert ('data-name', HOSTILE) in [item for _, attributes in read.tags for item in attributes.items()]


@pytest.mark.parametrize('body', sorted(path.name for path in ASSETS.glob('*.html')))
def test_the_policy_allows_the_own_script_and_style_only(body):
    text = b''.join(document(body, 'x', ['page.css'], ['common.js', 'codec.js'], [])).decode()
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)[1]
    own = {
        tag: base64.b64encode(hashlib.sha256(re.findall(f'<{tag}>(.*?)</{tag}>', text, re.S)[-1].encode()).digest()).decode()
        for tag in ('script', 'style')
    }
    assert (
        policy == f"default-src 'none'; script-src 'sha256-{own['script']}'; style-src 'sha256-{own['style']}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert 'Research use only' in text
    assert not re.search(r'\son\w+=|\sstyle=|https?://|javascript:', (ASSETS / body).read_text())


def test_nan_is_rejected():
    with pytest.raises(ValueError, match='JSON'):
        json_block({'volume': float('nan')})


def test_shipped_libraries_match_the_lock_file():
    locked = json.loads((ASSETS / 'package-lock.json').read_text())['packages']['node_modules/uplot']
    assert f'(v{locked["version"]})' in (ASSETS / 'vendor/uPlot.iife.min.js').read_text()[:100]
    assert 'MIT License' in (ASSETS / 'vendor/uPlot.LICENSE').read_text()
    assert 'resolved' not in locked  # the registry differs between machines
