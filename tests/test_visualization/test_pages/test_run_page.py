"""Pages with images of slices: their data, images and scripts."""

import base64
import json
import re

import pytest

from mmaffinity.visualization.pages.run_page import findings_page, run_page

PNG, JPEG = b'\x89PNG\r\n\x1a\n content', b'\xff\xd8\xff\xe0 content'


@pytest.mark.parametrize('page', [run_page, findings_page])
def test_pictures_have_their_key_and_kind(page):
    content = dict(title='A <run>', notes=['</script>'], runs=[])
    text = b''.join(page(content, {'a"b': PNG, '1': JPEG})).decode()
    assert '<title>A &lt;run&gt;</title>' in text
    assert json.loads(re.search('<script type="application/json" id="head">(.*?)</script>', text)[1]) == content
    found = re.findall('<script type="text/plain" data-picture="(.*?)" data-kind="(.*?)">(.*?)</script>', text)
    assert [(key, kind, base64.b64decode(data)) for key, kind, data in found] == [
        ('a&quot;b', 'png', PNG),
        ('1', 'jpeg', JPEG),
    ]


def test_each_kind_of_page_has_its_own_body_and_scripts():
    run, findings = (b''.join(page(dict(title='x'), {})).decode() for page in (run_page, findings_page))
    assert 'uPlot' in run.rsplit('<script>', 1)[1] and 'uPlot' not in findings.rsplit('<script>', 1)[1]
    bodies = [re.search('<body>(.*?)<script', text, re.S)[1] for text in (run, findings)]
    assert bodies[0] != bodies[1]


def test_pages_are_written_in_parts():
    """The pictures are never in memory all at once as text."""
    number = 50
    parts = list(run_page(dict(title='x'), {str(index): JPEG for index in range(number)}))
    assert sum(b'<script type="text/plain"' in part for part in parts) == number
