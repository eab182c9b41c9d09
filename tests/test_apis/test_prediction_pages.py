"""Pages of predicted scans, opened from disk in a real browser."""

import base64
import json

import numpy as np
import pytest
from browser_helpers import go_to, opened, pixel, settle, shown
from pycocotools import mask as coco_masks
from scan_helpers import chest, chest_volume, to_grey, write_images, write_nifti

from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.apis.prediction_pages import rois_of
from mmaffinity.visualization.pages.scan_page import with_shares


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
