#!/usr/bin/env python
"""Measure the page of a scan in headless Chromium: loading, scrolling, window changes, memory and size on disk.

It needs Playwright (`pip install playwright`), Chromium, and Linux (memory is read from /proc).
"""

import argparse
import shutil
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
# Each wheel step lasts until the canvas shows another slice; the first half goes forward from the first slice, the rest back.
STEPS = """async count => {
    const [stage, canvas, position] = ['stage', 'slice', 'position'].map(id => document.getElementById(id)), times = [];
    position.value = position.min;
    position.dispatchEvent(new Event('input'));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    count = Math.min(count, 2 * (position.max - position.min));
    for (let step = 0; step < count; step++) {
        const shown = canvas.dataset.slice, start = performance.now();
        stage.dispatchEvent(new WheelEvent('wheel', {deltaY: step < count / 2 ? 50 : -50, bubbles: true, cancelable: true}));
        while (canvas.dataset.slice === shown && performance.now() - start < 3000)
            await new Promise(requestAnimationFrame);
        times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b);
}"""
WINDOW = """async () => {
    const start = performance.now();
    document.querySelector('#windows button:nth-child(2)').click();
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    return performance.now() - start;
}"""


def steps(page: Page, count: int) -> str:
    """Return the duration of wheel steps as text."""
    times = page.evaluate(STEPS, count)
    return f'{times[len(times) // 2]:.0f} ms (median), {times[int(len(times) * 0.95)]:.0f} ms (95th percentile)'


def peak_memory() -> float:
    """Return the peak memory of the largest Chromium process in MB."""
    peaks = [0.0]
    for status in Path('/proc').glob('[0-9]*/status'):
        try:
            fields = dict(line.split(':', 1) for line in status.read_text().splitlines())
        except OSError:  # the process has ended
            continue
        if 'chrom' in fields['Name'] and 'VmHWM' in fields:
            peaks.append(int(fields['VmHWM'].split()[0]) * 1024 / 1e6)
    return max(peaks)


def measure(path: Path, program: str) -> dict[str, str]:
    """Return the measurements as text, by name."""
    found = {'size on disk': f'{sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file()) / 1e6:.1f} MB'}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=['--no-sandbox'])
        page = browser.new_page(viewport=dict(width=1400, height=1000))
        start = time.perf_counter()
        page.goto(path.resolve().as_uri())
        page.wait_for_selector('canvas[data-slice]')
        found['first slice visible'] = f'after {time.perf_counter() - start:.1f} s'
        found['wheel step while slices are being decoded'] = steps(page, 60)
        page.wait_for_selector('html[data-loaded]', state='attached', timeout=120_000)
        found['all slices decoded'] = f'after {time.perf_counter() - start:.1f} s'
        found['wheel step, axial'] = steps(page, 100)
        found['changing the window'] = f'{page.evaluate(WINDOW):.0f} ms'
        if page.locator('#planes button').count() > 1:
            page.click('#planes button:nth-child(2)')
            page.wait_for_timeout(300)
            found['wheel step, coronal'] = steps(page, 40)
        found["peak memory of the page's process"] = f'{peak_memory():.0f} MB'
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('page', type=Path, help='index.html of a scan, from mmaffinity predict')
    parser.add_argument('--chromium', default=next(filter(None, map(shutil.which, NAMES)), None), help='browser to use')
    args = parser.parse_args()
    if not args.page.is_file():
        parser.error(f'{args.page} does not exist; give the index.html of a scan from mmaffinity predict')
    if args.chromium is None:
        parser.error('Chromium was not found: install it, or give its path with --chromium')
    for name, value in measure(args.page, args.chromium).items():
        print(f'{name:<44}{value}')


if __name__ == '__main__':
    main()
