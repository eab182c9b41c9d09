"""Pages of test runs and reports, in a real browser."""

import json

import cv2
import numpy as np
import pytest
from browser_helpers import opened
from matplotlib.figure import Figure
from report_helpers import CLASSES, lesion_records, slice_records, write_results

from mmaffinity.apis.page_figures import PageFigure
from mmaffinity.apis.report import write_report
from mmaffinity.apis.run_pages import picture_of_file, run_content, write_test_page
from mmaffinity.visualization.pages.panels import LESIONS, SIDE, jpeg, small
from mmaffinity.visualization.saving import encode_figure

HOSTILE = '<img src=x onerror="window.hacked=1">'


@pytest.fixture(scope='module')
def results():
    slices, lesions = slice_records(40, 12), lesion_records(6)
    slices[0]['rel_path'] = slices[0]['img_path'] = f'{HOSTILE}.png'
    slices[0]['pred'] = (slices[0]['label'] + 1) % 3
    return dict(
        config='affinity_c8.py',
        slice_classes=['Normal', 'CP', 'COVID-19'],
        slices=slices,
        lesions=lesions,
        metrics={'slice/accuracy': 0.9},
        checkpoint_sha256='abc123',
        lists=dict(classification=dict(synthetic=True)),
    )


@pytest.fixture(scope='module')
def pictures(results):
    red = jpeg(np.full((8, 16, 3), (255, 0, 0), np.uint8))
    return {('classification', record['img_path']): red for record in results['slices']} | {
        ('segmentation', results['lesions'][0]['img_path']): red
    }


def test_cells_of_the_confusion_matrix_open_their_slices(tmp_path, results, pictures, browser):
    figures = [
        PageFigure('Training', 'by step', encode_figure(Figure(figsize=(1, 1)), dpi=50)),
        PageFigure('Affinities', f'Not drawn: {HOSTILE}', None),
    ]
    path = write_test_page(results, pictures, tmp_path / 'test.html', LESIONS, figures)
    with opened(browser, path) as page:
        for truth in range(3):
            for pred in range(3):
                cell = [record for record in results['slices'] if (record['label'], record['pred']) == (truth, pred)]
                button = page.locator(f'[data-cell="{truth},{pred}"]')
                assert button.inner_text().split()[0] == str(len(cell))
                button.click()
                shown = page.locator('#gallery figure')
                assert shown.count() == min(24, len(cell)) and page.locator('#gallery img').count() == shown.count()
        cell = [record for record in results['slices'] if record['label'] == record['pred'] == 1]
        page.locator('[data-cell="1,1"]').click()
        for order, best in (('high', max), ('low', min)):
            page.locator('#order').select_option(order)
            wanted = best(cell, key=lambda record: record['scores'][1])['rel_path']
            assert wanted in page.locator('#gallery figure').first.inner_text()
        page.locator('#wrong').click()
        assert HOSTILE in page.locator('#gallery').inner_text() and page.evaluate('window.hacked') is None
        assert 'synthetic' in page.locator('#synthetic').inner_text() and 'abc123' in page.locator('#about').inner_text()
        assert page.locator('#gallery img').first.evaluate('node => node.complete && node.naturalWidth') == 16
        assert 'no image' in page.locator('#lesions').inner_text() and page.locator('#lesions img').count() == 1
        assert page.locator('.uplot').count() == 2
        assert page.locator('#figures img').evaluate('node => node.complete && node.naturalWidth') == 50
        assert f'Affinities. Not drawn: {HOSTILE}' in page.locator('#figures').inner_text()
        page.locator('[data-cell="all"]').click()
        assert f'All slices: {len(results["slices"])} slices' in page.locator('#gallery h2').inner_text()
        # The score from which lesions are drawn, since AP counts more lesions than the image shows.
        assert 'right: its predicted lesions with a score of at least 0.5.' in page.locator('#gallery').inner_text()
        hint = 'right: predicted lesions with a score of at least 0.5. AP and the numbers include lower scores.'
        assert hint in page.locator('#lesions').inner_text()
        aps = []
        for order in ('low', 'high'):
            page.locator('#lesion-order').select_option(order)
            aps.append([float(text.split()[1].rstrip(',')) for text in page.locator('#lesions strong').all_inner_texts()])
        assert aps[0] == sorted(aps[0]) and aps[1] == aps[0][::-1]


def test_without_errors_the_least_certain_slices_come_first(tmp_path, results, browser):
    right = [record for record in results['slices'] if record['label'] == record['pred']]
    with opened(browser, write_test_page({**results, 'slices': right}, {}, tmp_path / 'test.html')) as page:
        least = min(right, key=lambda record: record['scores'][record['pred']])
        assert least['rel_path'] in page.locator('#gallery figure').first.inner_text()
        assert page.locator('#wrong').inner_text() == 'misclassified slices: 0'


def test_keyboard_focus_is_kept(tmp_path, results, browser):
    with opened(browser, write_test_page(results, {}, tmp_path / 'test.html')) as page:
        page.locator('[data-cell="all"]').click()
        for place, first in (('order', '#gallery figure'), ('lesion-order', '#lesions figure')):
            before = page.locator(first).first.inner_text()
            page.locator(f'#{place}').focus()
            page.keyboard.press('ArrowDown')
            page.wait_for_function(
                '([first, before]) => document.querySelector(first).innerText !== before', arg=[first, before]
            )
            assert page.evaluate('document.activeElement.id') == place


def test_comparison_of_two_runs_starts_with_disagreements(tmp_path, browser):
    first, second = slice_records(30, 9, model_seed=1, quality=1), slice_records(30, 9, model_seed=2, quality=1)
    picture = tmp_path / 'slice.png'
    cv2.imwrite(str(picture), np.full((64, 64), 200, np.uint8))
    for record in first:
        record['img_path'] = str(picture)
    differ = sum(one['pred'] != two['pred'] for one, two in zip(first, second))
    assert differ > 2
    for name, records in (('one', first), ('two', second)):
        write_results(tmp_path / name, records, lesion_records(3))
    files = write_report([tmp_path / 'one', tmp_path / 'two'], tmp_path / 'report', num_resamples=10)
    with opened(browser, files['html']) as page:
        text = page.locator('#pairs p').first.inner_text()
        assert f'{differ} disagreements' in text and text.startswith('30 common slices: ')
        figures = page.locator('#pairs figure')
        assert [('wrong' in (figures.nth(at).get_attribute('class') or '')) for at in range(min(12, differ))] == [True] * min(
            12, differ
        )
        of_second = {record['rel_path']: record for record in second}
        pairs = [(one, of_second[one['rel_path']]) for one in first]
        one, two = max(
            (pair for pair in pairs if pair[0]['pred'] != pair[1]['pred']),
            key=lambda pair: abs(pair[0]['scores'][pair[0]['label']] - pair[1]['scores'][pair[1]['label']]),
        )
        lines = figures.first.locator('figcaption').inner_text().splitlines()
        assert lines[0] == f'truth {CLASSES[one["label"]]}' and lines[-1] == one['rel_path']
        assert lines[1].startswith(f'A: {CLASSES[one["pred"]]} (') and lines[2].startswith(f'B: {CLASSES[two["pred"]]} (')
        page.locator('#run').select_option('1')
        right = sum(record['label'] == record['pred'] == 0 for record in second)
        assert page.locator('[data-cell="0,0"]').inner_text().split()[0] == str(right)
        assert page.locator('#gallery img').count() > 0
        assert page.locator('#figures img').count() == 1  # ranks of both models


def test_runs_without_classification_have_a_page(tmp_path, browser):
    results = dict(config='x.py', slice_classes=[], slices=[], lesions=lesion_records(3), metrics={})
    with opened(browser, write_test_page(results, {}, tmp_path / 'test.html')) as page:
        assert page.locator('#lesions figure').count() == 3 and page.locator('#confusion table').count() == 0


def test_curves_of_a_run(results):
    content = run_content('x', results, {})
    assert json.dumps(content, allow_nan=False)
    labels = np.array([record['label'] for record in results['slices']])
    scores = np.array([record['scores'] for record in results['slices']])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[labels == 0, 0] for b in scores[labels != 0, 0]]
    assert content['roc'][0]['auc'] == pytest.approx(np.mean(pairs))
    assert content['roc'][0]['true'][-1] == 1 and sum(content['reliability']['count']) == len(labels)


def test_thumbnails_are_downscaled():
    assert small(np.zeros((700, 350, 3), np.uint8)).shape == (SIDE, SIDE // 2, 3)
    assert small(np.zeros((30, 40), np.uint8)).shape == (30, 40)


def test_pictures_of_files_have_their_colours(tmp_path):
    color = np.full((20, 30, 3), (200, 40, 90), np.uint8)
    deep = np.full((20, 30), 60000, np.uint16)
    for name, image in (('color.png', color), ('grey.png', color[..., 0]), ('deep.png', deep)):
        cv2.imwrite(str(tmp_path / name), image)
    shown = {
        name: cv2.imdecode(np.frombuffer(picture_of_file(str(tmp_path / f'{name}.png')), np.uint8), cv2.IMREAD_UNCHANGED)
        for name in ('color', 'grey', 'deep')
    }
    assert shown['grey'].ndim == shown['deep'].ndim == 2
    np.testing.assert_allclose(shown['color'][10, 15], (200, 40, 90), atol=4)
    assert abs(int(shown['grey'][10, 15]) - 200) <= 2 and abs(int(shown['deep'][10, 15]) - 60000 / 257) <= 2
    assert picture_of_file(str(tmp_path / 'missing.png')) is None
