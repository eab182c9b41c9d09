"""The page of a verification."""

import cv2
import numpy as np
import pytest
from browser_helpers import opened

from mmaffinity.apis.verification_page import files_of, verification_page
from mmaffinity.datasets.verification.findings import Finding
from mmaffinity.datasets.verification.report import VerificationReport

HOSTILE = '<img src=x onerror="window.hacked=1">.png'
PATHS = {'train': {'a.png': '/d/a.png', 'b.png': '/d/b.png'}, 'test': {'a.png': '/e/a.png', 'c: d.png': '/e/c.png'}}


@pytest.mark.parametrize(
    'item, expected',
    [
        (
            dict(train='a.png', test='a.png', bits=2, correlation=0.99),
            [('train: a.png', '/d/a.png'), ('test: a.png', '/e/a.png')],
        ),
        (['a.png', 'b.png'], [('train: a.png', '/d/a.png'), ('train: b.png', '/d/b.png')]),
        ({'CP': 'test: a.png', 'Normal': 'train: b.png'}, [('test: a.png', '/e/a.png'), ('train: b.png', '/d/b.png')]),
        (dict(file='b.png', width=3), [('train: b.png', '/d/b.png')]),
        ('c: d.png', [('test: c: d.png', '/e/c.png')]),
        (dict(patient='12', train=3, test=4), []),
        ('gone.png', []),
        (None, []),
    ],
)
def test_files_named_by_the_cases_of_checks(item, expected):
    assert list(files_of(item, PATHS)) == expected


def test_near_duplicates_are_next_to_each_other(tmp_path, browser):
    paths = {'train': {}, 'test': {}}
    for split, name, size in (('train', 'one.png', 64), ('test', HOSTILE, 96)):
        file = tmp_path / f'{split}.png'
        cv2.imwrite(str(file), np.full((size, size), 150, np.uint8))
        paths[split][name] = str(file)
    findings = [
        Finding(
            'near-identical-slices',
            '1 pair of near-identical images',
            [dict(train='one.png', test=HOSTILE, bits=1, correlation=0.99)],
        ),
        Finding('corrupt-files', '1 file cannot be used', [dict(file='gone.png', error='is empty')]),
    ]
    report = VerificationReport(
        'config.py',
        [dict(name='train', slices=1, classes=dict(CP=1), content_sha256='0f', listing_sha256='0e', dataset='x')],
        findings,
        None,
        paths,
    )
    report.sentences = lambda: ['FAILED: 1 failure, 1 warning']
    with opened(browser, verification_page(report, tmp_path / 'verify.html')) as page:
        pair = page.locator('[data-check=near-identical-slices] figure')
        sizes = [pair.locator('img').nth(at).evaluate('node => node.naturalWidth') for at in (0, 1)]
        assert sizes == [64, 96] and HOSTILE in pair.inner_text() and '0.99' in pair.inner_text()
        boxes = [pair.locator('img').nth(at).bounding_box() for at in (0, 1)]
        assert boxes[0]['y'] == boxes[1]['y'] and boxes[0]['x'] < boxes[1]['x']
        page.locator('[data-check=corrupt-files] summary').click()
        assert 'gone.png; error: is empty' in page.locator('[data-check=corrupt-files]').inner_text()
        assert 'FAILED' in page.locator('#verdict').inner_text() and page.evaluate('window.hacked') is None
