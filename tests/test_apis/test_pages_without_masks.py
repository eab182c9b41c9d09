"""Pages of models that predict boxes without masks, RoIs without weights, or only a class."""

import cv2
import numpy as np
import pytest
from browser_helpers import opened
from scan_helpers import write_images

from mmaffinity.apis.base_inferencer import SliceInferencer
from mmaffinity.apis.onnx_inferencer import Fields
from mmaffinity.apis.prediction import predict_to_folder
from mmaffinity.scans import ReadOptions
from mmaffinity.visualization.pages.panels import LESIONS, ROIS, panel_pair, predicted_part

BOX, ROI = [10.0, 12.0, 30.0, 40.0], [40.0, 5.0, 60.0, 20.0]


class Model(SliceInferencer):
    """Predicts the same for each slice."""

    def __init__(self, *parts):
        self.options, self.batch_size, self.parts = ReadOptions(), 2, parts
        self.slice_classes, self.lesion_classes = ('CP', 'COVID-19'), ('lesion',)
        self.description = dict(
            config='x.py',
            config_sha256='a',
            checkpoint='x.pth',
            checkpoint_sha256='b',
            slice_classes=self.slice_classes,
            lesion_classes=self.lesion_classes,
        )

    def _prepare(self, item):
        return item.grey

    def _shape(self, packed):
        return packed.shape

    def _forward(self, packed):
        return [predicted(*self.parts) for _ in packed]


def predicted(*parts):
    sample, found = Fields(), Fields(label=np.int64(1), score=np.array([0.2, 0.9]))
    if 'rois' in parts:
        found.update(roi_boxes=np.array([ROI, ROI]), roi_scores=np.array([0.9, 0.9]))
    if 'class' in parts:
        sample['pred_slice'] = found
    if 'boxes' in parts:
        sample['pred_instances'] = Fields(bboxes=np.array([BOX]), scores=np.array([0.8]), labels=np.array([0]))
    return sample


@pytest.fixture
def page_of(tmp_path, browser):
    def make(*parts):
        (scan,) = predict_to_folder(Model(*parts), write_images(tmp_path / 'in', 2), tmp_path / 'out', overlays='none').scans
        return opened(browser, tmp_path / 'out' / scan.folder / 'index.html')

    return make


def pixel(page, x, y):
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
    code = '([x, y]) => [...document.getElementById("slice").getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3)'
    return page.evaluate(code, [x, y])


def test_boxes_are_drawn_if_there_are_no_masks(page_of):
    with page_of('class', 'rois', 'boxes') as page:
        page.wait_for_selector('canvas[data-slice]')
        red, green, blue = pixel(page, 10, 25)
        assert red > green > blue  # the outline has the colour of lesions
        inside = pixel(page, 20, 25)
        assert inside[0] == inside[1] == inside[2]
        page.locator('#style').select_option('fill')
        assert pixel(page, 20, 25)[0] > pixel(page, 20, 25)[2]
        page.locator('#overlay').click()
        assert pixel(page, 20, 25) == inside and len(set(pixel(page, 10, 25))) == 1
        page.locator('#overlay').click()
        page.wait_for_selector('#current tbody tr')
        page.locator('#current tbody button').first.click()
        page.wait_for_selector('#current tr.chosen')
        assert pixel(page, 10, 25)[2] > 200  # the chosen lesion is white
        page.locator('#rois').click()
        assert pixel(page, 42, 5)[2] > 200
        page.locator('#current summary').click()
        text = page.locator('#current details').inner_text()
        assert 'score' in text and 'weight' not in text and 'affinit' not in text.lower()
        assert 'Lesions with the highest scores' in page.locator('#largest').inner_text()


@pytest.mark.parametrize('parts', [('class',), ('boxes',)])
def test_models_with_only_a_class_or_only_boxes(page_of, parts):
    with page_of(*parts) as page:
        page.wait_for_selector('canvas[data-slice]')
        page.wait_for_selector('#current h2')
        assert page.locator('#rois').is_hidden()
        assert ('No RoIs were recorded' in page.locator('#current').inner_text()) == ('class' in parts)
        assert page.locator('#largest button').count() == (2 if 'boxes' in parts else 0)
        assert page.locator('.uplot').count() == ('class' in parts)


def test_thumbnails_show_what_the_model_predicts():
    image = np.full((64, 64), 100, np.uint8)
    for parts, what, width in ((('class', 'boxes'), LESIONS, 128), (('class', 'rois'), ROIS, 128), (('class',), None, 64)):
        sample = predicted(*parts)
        assert predicted_part(sample) == what
        sample.update(task='classification', img_path='a.png')
        picture = cv2.imdecode(np.frombuffer(panel_pair(image, sample), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (64, width, 3)
        drawn = np.abs(picture.astype(int) - 100).max(2) > 60
        assert drawn[:, 64:].any() == (what is not None) and not drawn[:, :56].any()
