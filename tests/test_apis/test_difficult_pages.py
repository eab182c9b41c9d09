"""Pages of hostile, long, large and interrupted predictions, on screen and in print."""

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from browser_helpers import opened, pages_of_pdf
from PIL import Image
from scan_helpers import chest, write_images, write_series

from mmaffinity.apis import prediction_pages
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.visualization.pages.pixels import encode_pixels
from mmaffinity.visualization.pages.scan_page import scan_page

HOSTILE = '<img src=x onerror="window.hacked=1">'


def test_the_speed_of_a_page_is_measured(series, browser, repo_root):
    _, folder, _ = series
    script = repo_root / 'tools/analysis_tools/page_speed.py'
    done = subprocess.run([sys.executable, script, folder / 'index.html'], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = dict(re.split(r'\s{2,}', line, maxsplit=1) for line in done.stdout.splitlines())
    assert float(found['size on disk'].split()[0]) == pytest.approx(
        sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1e6, abs=0.05
    )
    for name in ('wheel step, axial', 'wheel step, coronal', 'changing the window'):
        assert 0 < float(found[name].split()[0]) < 3000, name
    assert float(found["peak memory of the page's process"].split()[0]) > 20
    missing = subprocess.run([sys.executable, script, folder / 'none.html'], capture_output=True, text=True, timeout=120)
    assert missing.returncode == 2 and 'none.html does not exist' in missing.stderr


def test_notes_and_inputs_that_were_not_predicted(tmp_path, inferencer, browser):
    pytest.importorskip('pydicom')
    write_series(tmp_path / 'in', 3, PixelSpacing=None)
    damaged = tmp_path / 'in' / 'im_002.dcm'
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    (scan,) = predict_to_folder(inferencer, tmp_path / 'in', tmp_path / 'out', score_thr=1, overlays='none').scans
    content = json.loads((tmp_path / 'out' / scan.folder / 'prediction.json').read_text())
    assert content['scan']['notes'] and content['not_predicted']
    with opened(browser, tmp_path / 'out' / scan.folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        summary = page.locator('#summary')
        assert '2 of 3 slices predicted' in summary.inner_text()
        assert sorted(summary.locator('li').all_inner_texts()) == sorted(content['scan']['notes'])
        rows = [row.locator('td').all_inner_texts() for row in summary.locator('table').last.locator('tbody tr').all()]
        assert rows == [[item['source'], item['reason']] for item in content['not_predicted']]


def test_slices_without_lungs_are_left_out_of_the_share(tmp_path, inferencer, browser):
    folder = write_images(tmp_path / 'in', 3)
    Image.fromarray(np.full((64, 64), 200, np.uint8)).save(folder / 'tissue.png')
    (scan,) = predict_to_folder(inferencer, folder, tmp_path / 'out', overlays='none').scans
    content = json.loads((tmp_path / 'out' / scan.folder / 'prediction.json').read_text())
    assert content['summary']['lesions']['share_of_lung']['num_slices'] == 3 < content['summary']['num_slices'] == 4
    with opened(browser, tmp_path / 'out' / scan.folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        text = ' '.join(page.locator('#summary').inner_text().split())
        assert 'mask of the lungs (approximate), on the 3 slices where it finds lungs.' in text


def test_hostile_names_are_text(tmp_path, inferencer, browser):
    folder = write_images(tmp_path / 'in', 2)
    (folder / 'slice_0.png').rename(folder / f'{HOSTILE}.png')
    (folder / f'{HOSTILE}.dcm').write_bytes(b'\0' * 128 + b'DICM')
    (folder / f'{HOSTILE} broken.png').write_bytes((folder / 'slice_1.png').read_bytes()[:100])
    (scan,) = predict_to_folder(inferencer, folder, tmp_path / 'out').scans
    for path in (tmp_path / 'out' / 'index.html', tmp_path / 'out' / scan.folder / 'index.html'):
        with opened(browser, path) as page:
            page.wait_for_timeout(300)
            assert page.evaluate('window.hacked') is None and page.locator('img').count() == 0
            assert HOSTILE in page.inner_text('main')


def test_injected_code_does_not_run(series, browser):
    """The policy holds even where HTML gets into the page."""
    _, folder, _ = series
    context = browser.new_context()
    page = context.new_page()
    page.goto((folder / 'index.html').as_uri())
    page.evaluate(
        'code => document.body.insertAdjacentHTML("beforeend", code)',
        HOSTILE + '<a id="j" href="javascript:window.hacked=2">x</a>',
    )
    page.locator('#j').click()
    refused = page.evaluate('fetch("http://127.0.0.1:9/x").then(() => "sent", error => String(error))')
    page.wait_for_timeout(200)
    assert page.evaluate('window.hacked') is None and 'Failed to fetch' in refused
    context.close()


def test_print_view_is_one_page(series, browser):
    _, folder, _ = series
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        assert pages_of_pdf(page.pdf(format='A4')) == 1
        page.emulate_media(media='print')
        assert not page.locator('.controls').is_visible() and page.locator('header strong').is_visible()


@pytest.mark.parametrize('width', [700, 1300])
def test_print_view_of_long_lists_and_tall_slices_is_one_page(series, browser, tmp_path, width):
    """With the margins of a browser, whatever the size of its window."""
    _, folder, _ = series

    def longer(match):
        content = json.loads(match[1])
        note = 'warning: ' + 'something was assumed about this; ' * 8
        content.setdefault('notes', [])
        content['notes'] += 20 * [note]
        if 'scan' in content:
            content['scan'] = {**content['scan'], 'name': 20 * 'long_name_', 'spacing': [4.0, 1.0]}
            content['not_predicted'] = 20 * [dict(source='/data/' + 30 * 'folder/', reason=30 * 'some reason ')]
        return match[0].replace(match[1], json.dumps(content).replace('<', '\\u003c'))

    text = (folder / 'index.html').read_text()
    blocks = r'<script type="application/json" (?:id="head"|data-record="[0-9]+")>(.*?)</script>'
    (tmp_path / 'page.html').write_text(re.sub(blocks, longer, text, flags=re.DOTALL))
    with opened(browser, tmp_path / 'page.html', viewport=dict(width=width, height=900)) as page:
        page.wait_for_selector('canvas[data-slice]')
        page.wait_for_selector('#current tbody tr')
        margin = dict.fromkeys(('top', 'right', 'bottom', 'left'), '1cm')
        assert [pages_of_pdf(page.pdf(format=paper, margin=margin)) for paper in ('A4', 'Letter')] == [1, 1]
        page.emulate_media(media='print')
        for place, number in (('#current tbody tr', 6), ('#current li', 2), ('#summary li', 4)):
            assert page.locator(place).filter(visible=True).count() == number, place
        assert page.locator('#summary table').last.locator('tbody tr').filter(visible=True).count() == 4
        assert 'six lesions and two notes' in page.locator('.printed').inner_text()


def test_resumed_runs_complete_their_pages(tmp_path, inferencer):
    folder = write_images(tmp_path / 'in', 2)
    out = tmp_path / 'out'
    (scan,) = predict_to_folder(inferencer, folder, out, html=False, overlays='none').scans
    page = out / scan.folder / 'index.html'
    assert not page.exists() and not (out / 'index.html').exists()
    predict_to_folder(inferencer, folder, out, resume=True, overlays='none')
    assert page.exists() and (out / 'index.html').exists() and 'data-record="1"' in page.read_text()
    (out / scan.folder / 'rois.jsonl').write_bytes(b'{"key": "half a li')  # of an interrupted run
    write_images(folder, 1, first=2)
    predict_to_folder(inferencer, folder, out, resume=True, overlays='none')
    text = page.read_text()
    assert 'data-record="2"' in text and text.count('"affinity"') == 1
    write_images(folder, 1, first=3)
    predict_to_folder(inferencer, folder, out, resume=True, html=False, overlays='none')
    assert not page.exists()  # it would not show the new slice


@pytest.mark.parametrize('limit, note', [('MAX_SLICES', 'no page: 3 slices'), ('MAX_VALUES', 'pixel values exceed the 2')])
def test_large_scans_get_a_note_instead(tmp_path, inferencer, monkeypatch, limit, note):
    monkeypatch.setattr(prediction_pages, limit, 2)
    images = write_images(tmp_path / 'in', 3)
    (scan,) = predict_to_folder(inferencer, images, tmp_path / 'out', overlays='none').scans
    assert any(note in line for line in scan.notes)
    folder = tmp_path / 'out' / scan.folder
    assert not (folder / 'index.html').exists() and (folder / 'rois.jsonl').exists() == (limit == 'MAX_VALUES')
    assert (tmp_path / 'out' / 'index.html').exists()
    # Resuming does not take the page for missing and write the results again.
    written = (folder / 'prediction.json').stat().st_mtime_ns
    assert predict_to_folder(inferencer, images, tmp_path / 'out', resume=True, overlays='none').scans == [scan]
    assert (folder / 'prediction.json').stat().st_mtime_ns == written


def test_a_page_that_cannot_be_written_is_a_note(tmp_path, inferencer, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError('no room')

    monkeypatch.setattr(prediction_pages, 'scan_page', fail)
    report = predict_to_folder(inferencer, write_images(tmp_path / 'in', 1), tmp_path / 'out', overlays='none')
    assert report.failed and any('no page' in note and 'no room' in note for note in report.scans[0].notes)
    assert (tmp_path / 'out' / report.scans[0].folder / 'prediction.json').exists()


def test_a_page_of_many_slices_opens_quickly(tmp_path, browser):
    """300 slices of 512 x 512 take less than 60 MB and open within 3 s on an idle machine; docs/pages.md has measurements."""
    noise = np.random.default_rng(0)
    most = int(prediction_pages.PIXEL_BYTES * 512 * 512)
    blocks = [encode_pixels(chest(index, 512) + noise.normal(0, 60, (512, 512)), most) for index in range(8)]
    classes = dict(Normal=0.2, CP=0.5)
    records = [
        dict(
            index=index,
            name=f'v.nii#{index}',
            height=512,
            width=512,
            position_mm=5.0 * index,
            label='CP',
            lesions=[],
            probabilities=classes,
            notes=[],
        )
        for index in range(300)
    ]
    summary = dict(
        label='CP',
        mean_probability=classes,
        share_of_slices={'CP': 1.0},
        most_affected_slice=None,
        lesions=dict(number=0, num_slices=0, volume_ml=0.0, share_of_lung=None),
    )
    scan = dict(name='v.nii', kind='nifti', num_slices=300, spacing=[0.7, 0.7], slice_spacing=5.0)
    head = dict(
        scan=scan,
        model={},
        versions={},
        settings=dict(score_thr=0.5),
        created='',
        notes=[],
        not_predicted=[],
        classes=list(classes),
        planes=['axial', 'coronal'],
        ascending=True,
        summary=summary,
    )
    path = tmp_path / 'page.html'
    with open(path, 'wb') as file:
        file.writelines(scan_page(head, records, ((index, blocks[index % 8]) for index in range(300))))
    assert 45e6 < path.stat().st_size < 60e6
    start = time.monotonic()
    with opened(browser, path) as page:
        page.wait_for_selector('canvas[data-slice="150"]')
        assert time.monotonic() - start < 15  # other tests share the machine
        page.wait_for_selector('html[data-loaded="300"]', state='attached', timeout=120_000)
