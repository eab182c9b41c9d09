"""Pages of predicted scans, opened from disk in a real browser."""

import base64
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from browser_helpers import opened, pages_of_pdf
from pycocotools import mask as coco_masks
from scan_helpers import chest, chest_volume, to_grey, write_images, write_nifti, write_series

from mmaffinity.apis import prediction_pages
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.apis.prediction_pages import rois_of
from mmaffinity.visualization.pages import encode_pixels
from mmaffinity.visualization.pages.scan_page import scan_page, with_shares

HOSTILE = '<img src=x onerror="window.hacked=1">'


@pytest.fixture(scope='module')
def series(tmp_path_factory, inferencer):
    """A predicted DICOM series of 12 slices: folder of the results, folder of the scan, its prediction."""
    pytest.importorskip('pydicom')
    root = tmp_path_factory.mktemp('series')
    write_series(root / 'in', 12)
    (scan,) = predict_to_folder(inferencer, root / 'in', root / 'out', score_thr=0.3, overlays='none').scans
    folder = root / 'out' / scan.folder
    return root / 'out', folder, json.loads((folder / 'prediction.json').read_text())


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


def rois_recorded(folder, index):
    """RoIs of a slice as an uninterrupted run recorded them, slice by slice."""
    lines = [json.loads(line) for line in (folder / 'rois.jsonl').read_text().splitlines()]
    return {name: content for name, content in lines[index].items() if name != 'key'}


def signed_percent(text):
    return float(text.removesuffix(' %').replace('\u2212', '-'))


def test_the_list_leads_to_the_scan(series, browser):
    out, folder, content = series
    with opened(browser, out / 'index.html') as page:
        assert 'Research use only' in page.locator('header').inner_text()
        assert content['model']['checkpoint_sha256'] in page.locator('#about').inner_text()
        page.get_by_role('link', name=content['scan']['name']).click()
        page.wait_for_selector('canvas[data-slice]')
        assert page.locator('h1').inner_text() == content['scan']['name']
        summary = page.locator('#summary').inner_text()
        assert '12 of 12 slices' in summary and content['summary']['label'] in summary
        assert f'{content["summary"]["lesions"]["volume_ml"]:.1f} ml' in summary
        assert 'Not a medical device' in page.locator('header').inner_text()
        assert content['model']['checkpoint_sha256'] in page.locator('#about').inner_text()
        page.get_by_role('link', name='all scans').click()
        assert page.locator('h1').inner_text() == 'Predicted scans'


def test_windows_show_the_hounsfield_units(series, browser):
    _, folder, _ = series
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        page.locator('#overlay').click()
        go_to(page, 4)
        hu = chest(4)
        for name, level, width in (('lung', -600, 1500), ('mediastinal', 40, 400), ('full', 1023.5, 4095)):
            page.get_by_role('button', name=name).click()
            settle(page)
            for x, y in ((1, 1), (20, 32), (32, 28), (45, 36), (32, 49)):
                grey = to_grey(hu[y, x], level, width)
                assert np.abs(np.array(pixel(page, x, y)[:3]) - int(grey)).max() <= 1, (name, x, y)
        page.locator('#level').fill('-820')
        page.locator('#width').fill('10')
        page.locator('#width').press('Enter')
        settle(page)
        assert 120 < pixel(page, 20, 32)[0] < 135  # a lung of -820 HU is grey, the rest black or white
        assert pixel(page, 1, 1)[0] == 0 and pixel(page, 32, 28)[0] == 255


def test_the_axial_view_has_the_proportions_and_sides_of_the_patient(series, browser):
    _, folder, _ = series
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        box = page.locator('#slice').bounding_box()
        assert box['width'] / box['height'] == pytest.approx(0.7 / 0.8, rel=0.02)  # PixelSpacing of square slices
        for plane, sides in (('axial', ['R', 'L']), ('sagittal', ['A', 'P']), ('coronal', ['R', 'L'])):
            page.get_by_role('button', name=plane).click()
            page.wait_for_selector(f'canvas[data-plane={plane}]')
            assert [page.locator(f'#side-{side}').inner_text() for side in ('left', 'right')] == sides
            left, right = (page.locator(f'#side-{side}').bounding_box()['x'] for side in ('left', 'right'))
            assert left < right


def test_lesions_are_drawn_where_they_are(series, browser):
    _, folder, content = series
    record = next(record for record in content['slices'] if record['lesions'])
    covered = np.zeros((64, 64), dtype=bool)
    for lesion in record['lesions']:
        covered |= coco_masks.decode(lesion['mask']).astype(bool)
    first = coco_masks.decode(record['lesions'][0]['mask']).astype(bool)
    (y, x), (v, u) = np.argwhere(first)[len(np.argwhere(first)) // 2], np.argwhere(~covered)[0]
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        go_to(page, record['index'])
        page.locator('#style').select_option('fill')
        settle(page)
        over, beside = pixel(page, int(x), int(y)), pixel(page, int(u), int(v))
        assert over[0] > over[2]  # tinted
        assert beside[0] == beside[2]
        page.locator('#overlay').click()
        settle(page)
        plain = pixel(page, int(x), int(y))
        grey = to_grey(chest(record['index']))[y, x]
        assert plain[0] == plain[1] == plain[2] and abs(plain[0] - int(grey)) <= 1
        page.locator('#overlay').click()
        page.locator('#opacity').fill('0')
        settle(page)
        assert pixel(page, int(x), int(y)) == plain
        page.locator('#opacity').fill('1')
        page.locator('#threshold').fill('1')  # no lesion is that certain
        settle(page)
        assert pixel(page, int(x), int(y)) == plain
        assert page.locator('#threshold-value').inner_text() == '1.00'


def test_outlines_of_lesions(series, browser):
    """Outlines are the initial style; a selected lesion is white."""
    _, folder, content = series
    record = next(record for record in content['slices'] if record['lesions'])
    masks = [coco_masks.decode(lesion['mask']).astype(bool) for lesion in record['lesions']]
    outlines = []
    for mask in masks:
        around = np.pad(mask, 1)
        outlines.append(mask & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]))
    drawn = np.any(outlines, axis=0)
    (y, x), (v, u) = np.argwhere(outlines[0])[0], np.argwhere(np.any(masks, axis=0) & ~drawn)[0]
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        go_to(page, record['index'])
        settle(page)
        line, inside = pixel(page, int(x), int(y))[:3], pixel(page, int(u), int(v))[:3]
        assert line[0] > line[1] > line[2] and inside[0] == inside[1] == inside[2]
        page.wait_for_selector('#current tbody tr button')
        page.locator('#current tbody tr button').first.click()
        page.wait_for_selector('#current tr.chosen')
        settle(page)
        assert pixel(page, int(x), int(y))[:3] == [255, 255, 255]


def test_scrolling_by_wheel_keys_drag_and_curve(series, browser):
    _, folder, _ = series
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        go_to(page, 5)
        page.locator('#stage').hover()
        page.mouse.wheel(0, 100)
        page.wait_for_function('() => Number(document.getElementById("slice").dataset.slice) > 5')
        for key, wanted in (('Home', 0), ('ArrowDown', 1), ('ArrowRight', 2), ('PageDown', 11), ('ArrowUp', 10), ('End', 11)):
            page.keyboard.press(key)
            shown(page, wanted)
        box = page.locator('#stage').bounding_box()
        page.mouse.move(box['x'] + 50, box['y'] + 100)
        page.mouse.down()
        page.mouse.move(box['x'] + 50, box['y'] + 70)
        page.mouse.up()
        shown(page, 6)
        over = page.locator('.u-over')
        over.click(position=dict(x=1, y=50))
        shown(page, 0)
        page.wait_for_function('() => document.querySelector("#current h2").textContent.startsWith("Slice 1:")')


def test_scrolling_by_touch(series, browser):
    _, folder, _ = series
    with opened(browser, folder / 'index.html', has_touch=True, viewport=dict(width=390, height=800)) as page:
        page.wait_for_selector('canvas[data-slice]')
        go_to(page, 5)
        page.locator('#stage').scroll_into_view_if_needed()
        box = page.locator('#stage').bounding_box()
        x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
        device = page.context.new_cdp_session(page)
        for kind, points in (('touchStart', [dict(x=x, y=y)]), ('touchMove', [dict(x=x, y=y + 18)]), ('touchEnd', [])):
            device.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
        shown(page, 8)
        # Nothing but tables, which scroll by themselves, is wider than a telephone.
        assert page.evaluate('document.documentElement.scrollWidth') <= 390


def test_with_the_keyboard_alone(series, browser):
    _, folder, content = series
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        reached = set()
        for _ in range(60):
            page.keyboard.press('Tab')
            reached.add(page.evaluate('document.activeElement.id || document.activeElement.textContent'))
            if page.evaluate('document.activeElement.textContent') == 'mediastinal':
                page.keyboard.press('Enter')
        assert {'overlay', 'style', 'opacity', 'threshold', 'position', 'coronal', 'all scans', 'rois'} <= reached
        assert page.locator('#level').input_value() == '40'
        page.locator('#most').focus()
        page.keyboard.press('Enter')
        shown(page, content['summary']['most_affected_slice']['index'])
        page.locator('#position').focus()
        page.keyboard.press('Home')
        shown(page, 0)
        page.evaluate('document.activeElement.blur()')
        page.keyboard.press('f')
        page.keyboard.press('o')
        assert page.locator('#width').input_value() == '4095'
        assert page.locator('#overlay').get_attribute('aria-pressed') == 'false'


def test_lesions_and_their_shares(series, inferencer, browser):
    _, folder, content = series
    record = next(record for record in content['slices'] if record['lesions'])
    with opened(browser, folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        go_to(page, record['index'])
        row = page.locator('#current tbody tr').first
        page.wait_for_function(
            'name => document.querySelector("#current h2").textContent.startsWith(name)', arg=f'Slice {record["index"] + 1}:'
        )
        assert f'{record["lesions"][0]["area_mm2"]:.0f} mm' in row.inner_text() and '%' in row.inner_text()
        row.get_by_role('button').focus()
        page.keyboard.press('Enter')
        page.wait_for_selector('#current tr.chosen')
        assert page.evaluate('document.activeElement.textContent') == 'lesion 1'
        recorded = with_shares(record, rois_recorded(folder, record['index']))
        cells = row.locator('td').all_inner_texts()
        assert cells[1] == f'{record["lesions"][0]["score"]:.2f}'
        assert [signed_percent(cell) for cell in cells[3:]] == pytest.approx(
            [100 * share for share in recorded['lesion_shares'][0]], abs=0.51
        )
        page.locator('#current summary').click()
        text = page.locator('#current details').inner_text()
        assert 'Exact' in text and 'First order' in text
        weights = [weight for weight in recorded['rois']['weights'] if weight != 0]
        rows = [item.locator('td').all_inner_texts() for item in page.locator('#current details tbody tr').all()]
        assert weights and [float(cells[2].replace('\u2212', '-')) for cells in rows] == pytest.approx(weights, abs=0.0051)
        heat = page.locator('#affinity').evaluate(
            'node => [node.height, node.width, ...node.getContext("2d").getImageData(0, 0, node.width, node.height).data]'
        )
        affinity = recorded['rois']['affinity']
        assert heat[:2] == [affinity['rows'], affinity['columns']] and affinity['rows'] == 8
        steps = np.frombuffer(base64.b64decode(affinity['values']), np.int8)
        red, _, blue, _ = np.reshape(heat[2:], (-1, 4)).T
        assert (blue > red)[steps < -10].all() and (red > blue)[steps > 10].all() and (abs(steps) > 10).any()
        page.locator('#largest button').first.click()
        largest = max((lesion['area_px'], -item['index']) for item in content['slices'] for lesion in item['lesions'])
        shown(page, -largest[1])


@pytest.mark.parametrize('step', [5, -5])
def test_coronal_and_sagittal_views(tmp_path, inferencer, browser, step):
    """Of slices that are stored from the feet to the head, and the reverse."""
    pytest.importorskip('nibabel')
    affine = np.array([[-0.7, 0, 0, 100], [0, 0.8, 0, -90], [0, 0, step, -300], [0, 0, 0, 1.0]])
    write_nifti(tmp_path / 'v.nii', chest_volume(5), affine)
    (scan,) = predict_to_folder(inferencer, tmp_path / 'v.nii', tmp_path / 'out', score_thr=1).scans
    with opened(browser, tmp_path / 'out' / scan.folder / 'index.html') as page:
        page.wait_for_selector('html[data-loaded="5"]', state='attached')
        for plane, size, ratio in (('coronal', [64, 5], 64 * 0.7 / 25), ('sagittal', [64, 5], 64 * 0.8 / 25)):
            page.get_by_role('button', name=plane).click()
            page.wait_for_selector(f'canvas[data-plane={plane}]')
            canvas = page.locator('#slice')
            assert canvas.evaluate('node => [node.width, node.height]') == size
            box = canvas.bounding_box()
            assert box['width'] / box['height'] == pytest.approx(ratio, rel=0.02)
            page.locator('#position').fill('36' if plane == 'coronal' else '45')
            settle(page)
            for index in range(5):  # the head is at the top
                x, y = (45, 36)
                grey = int(to_grey(chest(index)[y, x]))
                row = 4 - index if step > 0 else index
                assert abs(pixel(page, x if plane == 'coronal' else y, row)[0] - grey) <= 1


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


def test_images_have_no_planes_and_no_hounsfield_units(tmp_path, inferencer, browser):
    folder = write_images(tmp_path / 'in', 2)
    (scan,) = predict_to_folder(inferencer, folder, tmp_path / 'out', score_thr=1).scans
    with opened(browser, tmp_path / 'out' / scan.folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        assert page.locator('#planes').is_hidden() and page.locator('#windows button').all_inner_texts() == ['as stored']
        go_to(page, 1)
        assert pixel(page, 45, 36)[0] == to_grey(chest(1))[36, 45]
        assert page.locator('#side-left').inner_text() == ''  # which side is which is not known


def test_rois_of_a_slice_are_those_of_the_model(tmp_path, inferencer):
    (prediction,) = inferencer(write_images(tmp_path / 'in', 1))
    rois = rois_of(inferencer, prediction)
    found = prediction.sample.pred_slice
    assert np.allclose(rois['weights'], found.roi_weights.numpy(), atol=1e-4)
    assert np.abs(rois['shares']).sum(0) == pytest.approx(1, abs=1e-2)
    steps = np.frombuffer(base64.b64decode(rois['affinity']['values']), np.int8).reshape(found.affinity.shape)
    limit = rois['affinity']['limit']
    assert np.allclose(steps * limit / 127, found.affinity.numpy().clip(-limit, limit), atol=limit / 253)


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


def test_large_scans_get_a_note_instead(tmp_path, inferencer, monkeypatch):
    monkeypatch.setattr(prediction_pages, 'MAX_SLICES', 2)
    (scan,) = predict_to_folder(inferencer, write_images(tmp_path / 'in', 3), tmp_path / 'out', overlays='none').scans
    assert any('no page: 3 slices' in note for note in scan.notes)
    folder = tmp_path / 'out' / scan.folder
    assert not (folder / 'index.html').exists() and not (folder / 'rois.jsonl').exists()
    assert (tmp_path / 'out' / 'index.html').exists()


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
