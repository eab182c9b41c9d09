"""Chromium for tests of pages, and a page that fails on console output and network requests."""

import os
import re
import shutil
from contextlib import contextmanager

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


@contextmanager
def chromium():
    """A headless browser; the test is skipped without Playwright or a browser."""
    playwright = pytest.importorskip('playwright.sync_api', reason='no Playwright (pip install playwright)')
    program = os.environ.get('MMAFFINITY_CHROMIUM') or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip('no Chromium (apt-get install chromium, or set MMAFFINITY_CHROMIUM)')
    options = ['--host-resolver-rules=MAP * ~NOTFOUND']
    if os.geteuid() == 0:
        options.append('--no-sandbox')  # Chromium's sandbox does not work for root
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@contextmanager
def opened(browser, path, **options):
    """Open a file from disk; fail if it writes to the console, or requests anything other than itself and data URLs."""
    context = browser.new_context(**{'viewport': dict(width=1300, height=1000), **options})
    page = context.new_page()
    said, requested = [], []
    # Chromium warns about the pixel reads of these tests.
    page.on('console', lambda message: said.append(message.text) if 'willReadFrequently' not in message.text else None)
    page.on('pageerror', lambda error: said.append(str(error)))
    page.on('request', lambda request: requested.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert said == []
    assert [url for url in requested if not url.startswith(('file://', 'data:'))] == []


def pages_of_pdf(content: bytes) -> int:
    return len(re.findall(rb'/Type\s*/Page\b', content))


def shown(page, wanted):
    """Wait until a slice is drawn."""
    page.wait_for_function('wanted => document.getElementById("slice").dataset.slice === String(wanted)', arg=wanted)


def pixel(page, x, y):
    code = '([x, y]) => [...document.getElementById("slice").getContext("2d").getImageData(x, y, 1, 1).data]'
    return page.evaluate(code, [x, y])


def settle(page):
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')


def go_to(page, wanted):
    page.locator('#position').evaluate('(node, at) => { node.value = at; node.dispatchEvent(new Event("input")); }', wanted)
    shown(page, wanted)
