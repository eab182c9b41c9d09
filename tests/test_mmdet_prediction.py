"""Prediction with models of colour images, by this package's and MMDetection's functions."""

import copy

import cv2
import numpy as np
import pytest
import torch
from browser_helpers import opened, pixel
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet_helpers import NARROW, write_model
from scan_helpers import write_series

from mmaffinity.apis import AffinityInferencer, predict_to_folder, prediction_pages
from mmaffinity.apis.onnx_export import export_onnx
from mmaffinity.checkpoints.sharing import export_model
from mmaffinity.utils.references import resolve_dataloaders
from mmaffinity.visualization.overlays import picture_scale


@pytest.mark.parametrize('name', NARROW)
def test_prediction_of_colour_images(name, tmp_path):
    """Files, arrays and the model shared as data give the same result as the test pipeline."""
    config, model = write_model(tmp_path, name)
    image = np.random.RandomState(0).randint(0, 256, (90, 120, 3)).astype(np.uint8)
    (tmp_path / 'photos').mkdir()
    path = tmp_path / 'photos/a.png'
    cv2.imwrite(str(path), image)

    resolved = copy.deepcopy(config)
    resolve_dataloaders(resolved)
    pipeline = Compose(resolved.test_dataloader.dataset.datasets[-1].pipeline)
    packed = pipeline(dict(img_path=str(path), img_id=0, task='classification'))
    with torch.no_grad():
        (expected,) = model.test_step(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]))
    assert len(expected.pred_instances)

    weights, description = export_model(config, tmp_path / 'model.pth', tmp_path / 'shared')
    for inferencer in (AffinityInferencer(config, tmp_path / 'model.pth'), AffinityInferencer(description, weights)):
        predictions = [*inferencer(tmp_path / 'photos'), *inferencer(image)]
        assert len(predictions) == 2
        for prediction in predictions:
            found = prediction.sample
            assert torch.equal(found.pred_slice.logits, expected.pred_slice.logits)
            for field in ('bboxes', 'scores', 'masks'):
                assert torch.equal(found.pred_instances[field], expected.pred_instances[field]), field
            record = prediction.record(score_thr=0)
            assert set(record.probabilities) == {'indoors', 'outdoors', 'unknown'} and record.lung_area_px is None
            overlay = prediction.overlay(score_thr=1)
            scale = picture_scale(90, 120)
            assert np.array_equal(overlay[: 90 * scale : scale, : 120 * scale : scale], image[..., ::-1])
        (swapped,) = inferencer(image[..., ::-1])
        assert not torch.allclose(swapped.sample.pred_slice.roi_features, expected.pred_slice.roi_features, rtol=1e-2)

    with pytest.raises(ValueError, match='only models of grayscale slices can be exported to ONNX'):
        export_onnx(config, tmp_path / 'model.pth', tmp_path / 'model.onnx')


def test_the_page_shows_the_colours(tmp_path, monkeypatch, browser):
    config, _ = write_model(tmp_path)
    image = np.random.RandomState(0).randint(0, 256, (50, 70, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    inferencer = AffinityInferencer(config, tmp_path / 'model.pth')
    (scan,) = predict_to_folder(inferencer, [tmp_path / 'a.png'], tmp_path / 'out', score_thr=1).scans
    with opened(browser, tmp_path / 'out' / scan.folder / 'index.html') as page:
        page.wait_for_selector('canvas[data-slice]')
        for x, y in ((0, 0), (69, 49), (33, 20)):
            assert pixel(page, x, y)[:3] == image[y, x, ::-1].tolist()
        page.locator('#slice').hover(position=dict(x=1, y=1))
        assert f'{", ".join(map(str, image[0, 0, ::-1]))} (R, G, B) at 0, 0' in page.locator('#corner').inner_text()

    monkeypatch.setattr(prediction_pages, 'MAX_VALUES', 50 * 70 * 3 - 1)
    (scan,) = predict_to_folder(inferencer, [tmp_path / 'a.png'], tmp_path / 'large', score_thr=1).scans
    assert 'no page: 10500 pixel values exceed the 10499 that a browser can show at once' in scan.notes
    assert not (tmp_path / 'large' / scan.folder / 'index.html').exists()


def test_mmdetections_own_functions(tmp_path):
    """As in docs/mmdet.md: inference_detector and DetInferencer give the results of AffinityInferencer."""
    config, _ = write_model(tmp_path)
    resolve_dataloaders(config)
    config.test_dataloader = copy.deepcopy(config.val_dataloader)
    image = np.random.RandomState(0).randint(0, 256, (90, 120, 3)).astype(np.uint8)
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), image)
    (expected,) = AffinityInferencer(config, tmp_path / 'model.pth')(path)
    detector = init_detector(copy.deepcopy(config), str(tmp_path / 'model.pth'), device='cpu')
    assert detector.dataset_meta['slice_classes'] == ('indoors', 'outdoors', 'unknown')
    inferencer = DetInferencer(copy.deepcopy(config), str(tmp_path / 'model.pth'), device='cpu', show_progress=False)
    results = inferencer(str(path), return_datasamples=True, out_dir=str(tmp_path / 'out'), pred_score_thr=1)
    for sample in (inference_detector(detector, str(path)), inference_detector(detector, image), *results['predictions']):
        assert torch.equal(sample.pred_slice.logits, expected.sample.pred_slice.logits)
        assert torch.equal(sample.pred_instances.masks, expected.sample.pred_instances.masks)
    picture = cv2.imread(str(tmp_path / 'out/vis/a.png'))
    scale = picture_scale(90, 120)
    assert np.array_equal(picture[: 90 * scale : scale, : 120 * scale : scale], image)


def test_a_model_of_colour_images_refuses_scans(tmp_path):
    config, _ = write_model(tmp_path)
    write_series(tmp_path / 'series', 2)
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((40, 40, 3), 90, np.uint8))
    inferencer = AffinityInferencer(config, tmp_path / 'model.pth')
    report = predict_to_folder(inferencer, [tmp_path / 'series', tmp_path / 'a.png'], tmp_path / 'out')
    (problem,) = report.problems
    assert problem.reason == 'the model takes colour images (PNG, JPEG and others), not DICOM or NIfTI'
