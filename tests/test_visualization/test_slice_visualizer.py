"""The registered visualizer, as MMDetection's hook drives it."""

from types import SimpleNamespace

import cv2
import mmcv
import numpy as np
import pytest
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import VISUALIZERS
from mmdet.visualization import DetLocalVisualizer

import mmaffinity  # noqa: F401
from mmaffinity.visualization.overlays import draw_overlay

META = dict(classes=('lesion',), slice_classes=('Normal', 'CP', 'COVID-19'))


@pytest.fixture(autouse=True)
def no_display(monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.setenv('MPLBACKEND', 'Agg')


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)


def build(request, **options):
    # Visualizers are kept by name for the life of the process.
    visualizer = VISUALIZERS.build(dict(type='SliceVisualizer', name=request.node.name, **options))
    visualizer.dataset_meta = META
    return visualizer


def test_file_contains_the_overlay(request, tmp_path, image, make_sample):
    visualizer = build(request)
    assert isinstance(visualizer, DetLocalVisualizer)
    sample = make_sample([(20, 30, 90, 120)], true=[(25, 30, 90, 120)], shape=(256, 256))
    visualizer.add_datasample('a', image, sample, out_file=str(tmp_path / 'out' / 'a.jpg'), pred_score_thr=0.4)
    expected = draw_overlay(image, sample, META['slice_classes'], score_thr=0.4)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'out' / 'a.png'))[..., ::-1], expected)
    visualizer.add_datasample(
        'a', np.stack([image] * 3, axis=-1), sample, draw_gt=False, draw_pred=False, out_file=str(tmp_path / 'out' / 'b.png')
    )
    plain = cv2.imread(str(tmp_path / 'out' / 'b.png'))[:768, :768, 0]
    np.testing.assert_array_equal(plain, np.kron(image, np.ones((3, 3), dtype=np.uint8)))
    assert visualizer.get_image().shape == cv2.imread(str(tmp_path / 'out' / 'b.png')).shape


def test_backends_receive_the_image(request, tmp_path, image, make_sample):
    visualizer = build(request, vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    visualizer.add_datasample('val_img', image, make_sample([], [], shape=(256, 256)), step=3)
    visualizer.add_datasample('alone', image)
    folder = tmp_path / 'vis_data' / 'vis_image'
    assert sorted(path.name for path in folder.iterdir()) == ['alone_0.png', 'val_img_3.png']


def test_data_set_without_slice_classes(request, tmp_path, image, make_sample):
    visualizer = build(request)
    visualizer.dataset_meta = {}
    sample = make_sample([], [], shape=(256, 256))
    visualizer.add_datasample('a', image, sample, out_file=str(tmp_path / 'a.png'))
    drawn = cv2.imread(str(tmp_path / 'a.png'))[..., ::-1]
    np.testing.assert_array_equal(drawn, draw_overlay(image, sample, None))
    assert not np.array_equal(drawn, draw_overlay(image, sample, META['slice_classes']))


def test_rois_are_drawn_on_request(request, tmp_path, image, make_sample):
    import torch

    sample = make_sample([], [], shape=(256, 256))
    sample.pred_slice.roi_boxes = torch.tensor([[20.0, 20, 90, 90]])
    build(request, show_rois=True).add_datasample('a', image, sample, out_file=str(tmp_path / 'a.png'))
    expected = draw_overlay(image, sample, META['slice_classes'], show_rois=True)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'a.png'))[..., ::-1], expected)


def test_with_the_hook_of_mmdetection(request, tmp_path, image, make_sample):
    build(request)  # the hook takes the visualizer that was built last
    mmcv.imwrite(image, str(tmp_path / '0034.png'))
    sample = make_sample([(20, 30, 90, 120)], shape=(256, 256), img_path=str(tmp_path / '0034.png'))
    hook = DetVisualizationHook(draw=True, test_out_dir='show')
    hook.after_test_iter(SimpleNamespace(work_dir=str(tmp_path), timestamp='now'), 0, {}, [sample])
    assert cv2.imread(str(tmp_path / 'now' / 'show' / '0034.png')).shape[1] == 768
