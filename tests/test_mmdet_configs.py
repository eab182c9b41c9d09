"""Detectors of MMDetection with an affinity head: from a COCO checkpoint, in both stages, on colour images."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from browser_helpers import opened, pixel
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from model_helpers import lesion_sample, slice_sample, total
from run_helpers import run_state
from scan_helpers import write_series

from mmaffinity.apis import AffinityInferencer, predict_to_folder, prediction_pages
from mmaffinity.apis import test_model as evaluate_model
from mmaffinity.apis.onnx_export import export_onnx
from mmaffinity.checkpoints.sharing import export_model
from mmaffinity.structures import SliceDataSample
from mmaffinity.utils.references import resolve_dataloaders
from mmaffinity.visualization.overlays import picture_scale

CONFIGS = Path(__file__).resolve().parent.parent / 'configs' / 'mmdet'
# Narrow layers of the same detectors.
NARROW = {
    'affinity_mask-rcnn_r50_fpn': {'backbone.base_channels': 8, 'neck.in_channels': [32, 64, 128, 256]},
    'affinity_mask-rcnn_swin-t_fpn': {
        'backbone.embed_dims': 24,
        'backbone.depths': [1, 1, 1, 1],
        'backbone.num_heads': [1, 2, 3, 6],
        'neck.in_channels': [24, 48, 96, 192],
    },
}
NEW = ('roi_head.bbox_head.fc_', 'roi_head.mask_head.conv_logits', 'roi_head.cls_head', 'roi_head.classification_branch')


def narrow_config(name, root, work_dir):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    changes = {
        **NARROW[name],
        'roi_head.bbox_head.fc_out_channels': 32,
        'train_cfg.rcnn.sampler.num': 16,
        'train_cfg.rpn_proposal.max_per_img': 30,
        'test_cfg.rpn.max_per_img': 30,
        'roi_head.cls_head.num_classes': 3,
    }
    config.merge_from_dict(
        {
            **{f'model.{key}': value for key, value in changes.items()},
            'data_root': str(root),
            'image_size': (64, 64),
            'work_dir': str(work_dir),
            'train_cfg.max_epochs': 1,
            'train_dataloader.batch_size': 2,
            'log_level': 'WARNING',
            'default_hooks.logger.interval': 1,
            'hash_files': False,
            **{
                f'{split}_dataloader.{key}': value
                for split in ('train', 'val', 'test')
                for key, value in (('num_workers', 0), ('persistent_workers', False))
            },
        }
    )
    return config


def write_coco_checkpoint(config, path):
    """Weights of the Mask R-CNN that the config starts from, with COCO's 80 classes."""
    init_default_scope('mmdet')
    model = copy.deepcopy(config.model)
    model.type = 'MaskRCNN'
    for key in ('cls_head', 'roi_selector', 'mask_feature_head'):
        model.roi_head.pop(key, None)
    model.roi_head.type = 'StandardRoIHead'
    model.roi_head.bbox_head.num_classes = model.roi_head.mask_head.num_classes = 80
    torch.manual_seed(0)
    model = MODELS.build(model)
    model.init_weights()
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return model.state_dict()


@pytest.mark.parametrize('name', NARROW)
def test_training_from_a_coco_checkpoint_and_testing(name, tiny_phantom, tmp_path, monkeypatch):
    root = tiny_phantom / 'cncb_ncov'
    monkeypatch.setenv('IMAGE_PAIRS_ROOT', str(root))
    config = narrow_config(name, root, tmp_path / 'run')
    coco = write_coco_checkpoint(config, tmp_path / 'coco.pth')
    config.load_from = str(tmp_path / 'coco.pth')
    runner = Runner.from_cfg(config)
    assert len(runner.model.neck.fpn_convs) == 4 and runner.model.neck.num_outs == 5
    before = {}
    train = runner.model.train_step

    def first_step(*args, **kwargs):
        before.update(before or {key: value.clone() for key, value in runner.model.state_dict().items()})
        return train(*args, **kwargs)

    runner.model.train_step = first_step
    runner.train()
    # Everything but the new layers comes from the checkpoint; the classification branch starts as a copy.
    assert all(torch.equal(before[key], value) for key, value in coco.items() if not key.startswith(NEW))
    branch = 'roi_head.classification_branch.bbox_head.shared_fcs.0.weight'
    assert torch.equal(before[branch], coco['roi_head.bbox_head.shared_fcs.0.weight'])
    after = run_state(tmp_path / 'run/epoch_1.pth')
    for part in ('backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head', 'roi_head.cls_head'):
        assert any(not torch.equal(after[key], value) for key, value in before.items() if key.startswith(part)), part
    (log,) = (tmp_path / 'run').rglob('vis_data/scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    losses = {key: value for row in rows for key, value in row.items() if key.startswith('loss_')}
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask', 'loss_slice'} == set(losses)
    assert 'slice/f1' in rows[-1]

    metrics = evaluate_model(
        config, tmp_path / 'run/epoch_1.pth', work_dir=tmp_path / 'test', verbose=False, show_dir=tmp_path / 'pictures'
    )
    assert {'slice/f1', 'lesion/AP50', 'coco/segm_mAP'} <= set(metrics)
    assert list((tmp_path / 'pictures').glob('*.png'))


@pytest.mark.parametrize('name', NARROW)
def test_colours_matter(name, tmp_path):
    """Three different channels reach all five levels: swapping red and blue changes them."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(narrow_config(name, tmp_path, tmp_path).model)
    model.init_weights()
    model.eval()
    meta = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0), img_path='a.png', task='classification')
    image = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)
    maps = []
    model.neck.register_forward_hook(lambda module, args, levels: maps.append(levels))
    for inputs in (image, image.flip(0)):
        with torch.no_grad():
            (sample,) = model.test_step(dict(inputs=[inputs], data_samples=[SliceDataSample(metainfo=meta)]))
        assert len(sample.pred_slice.roi_boxes) == 8 and sample.pred_slice.logits.shape == (3,)
    assert [len(levels) for levels in maps] == [5, 5]
    assert not any(torch.allclose(first, second, rtol=1e-3) for first, second in zip(*maps))


GN = dict(type='GN', num_groups=32, requires_grad=True)
BOX_HEAD, MASK_HEAD = 'roi_head.bbox_head', 'roi_head.mask_head'
GROIE = dict(
    type='GenericRoIExtractor',
    aggregation='sum',
    pre_cfg=dict(type='ConvModule', in_channels=256, out_channels=256, kernel_size=3, padding=1, inplace=False),
)
REGNET = dict(
    _delete_=True,
    type='RegNet',
    arch='regnetx_400mf',
    out_indices=(0, 1, 2, 3),
    norm_cfg=dict(type='BN', requires_grad=True),
    norm_eval=True,
    style='pytorch',
)
VARIATIONS = {
    'three instance classes': {},
    'class-agnostic boxes and masks': {f'{BOX_HEAD}.reg_class_agnostic': True, f'{MASK_HEAD}.class_agnostic': True},
    'heads with GN': {
        BOX_HEAD: dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=32, norm_cfg=GN),
        f'{MASK_HEAD}.norm_cfg': GN,
        'neck.norm_cfg': GN,
    },
    'ResNeXt': {'backbone': dict(type='ResNeXt', groups=2, base_width=32)},
    'RegNet': {'backbone': REGNET, 'neck.in_channels': [32, 64, 160, 384]},
    'PAFPN': {'neck.type': 'PAFPN'},
    'GRoIE': {'roi_head.bbox_roi_extractor': GROIE, 'roi_head.mask_roi_extractor': GROIE},
    'Mask Scoring R-CNN': {
        'roi_head.type': 'AffinityMaskScoringRoIHead',
        'roi_head.mask_iou_head': dict(type='MaskIoUHead', num_convs=1, num_fcs=1, fc_out_channels=16, num_classes=3),
        'train_cfg.rcnn.mask_thr_binary': 0.5,
    },
    'five slice classes': {'roi_head.cls_head.num_classes': 5},
}


def varied_model(changes):
    """The model of a config that inherits affinity_mask-rcnn_r50_fpn.py, with three classes of instances."""
    init_default_scope('mmdet')
    config = narrow_config('affinity_mask-rcnn_r50_fpn', '.', '.')
    changes = {f'{BOX_HEAD}.num_classes': 3, f'{MASK_HEAD}.num_classes': 3, **changes}
    for key, value in changes.items():
        config.merge_from_dict({f'model.{key}': value})
    torch.manual_seed(0)
    return MODELS.build(config.model)


@pytest.mark.parametrize('changes', VARIATIONS.values(), ids=VARIATIONS)
def test_variations_train_in_both_stages_and_predict(changes):
    model = varied_model(changes)
    model.init_weights()
    model.train()
    inputs = [torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    instances = [lesion_sample([(5.0, 5, 25, 25), (20.0, 30, 50, 60)], 64), lesion_sample([(30.0, 2, 60, 40)], 64)]
    for sample, labels in zip(instances, ([0, 2], [1])):
        sample.gt_instances.labels = torch.tensor(labels)
    trained = {}
    for stage, samples in (('segmentation', instances), ('classification', [slice_sample(k, 64) for k in (0, 1)])):
        model.set_stage(stage)
        model.zero_grad()
        data = model.data_preprocessor(dict(inputs=inputs, data_samples=samples), True)
        total(model(**data, mode='loss')).backward()
        trained[stage] = {name for name, value in model.named_parameters() if value.grad is not None}
    # All weights are trained, except the backbone's frozen stage and the branch, which is a copy.
    left = set(dict(model.named_parameters())) - trained['segmentation'] - trained['classification']
    assert all(name.startswith(('backbone.', 'roi_head.classification_branch.')) for name in left), left
    shared = ('backbone.', 'neck.', 'roi_head.cls_head.')
    assert all(name.startswith(shared) for name in trained['classification'])

    model.copy_branch()
    model.eval()
    with torch.no_grad():
        results = model.test_step(dict(inputs=inputs, data_samples=[slice_sample(0, 64) for _ in inputs]))
    for result in results:
        found = result.pred_instances
        assert len(found) and found.masks.shape == (len(found), 64, 64) and found.labels.max() <= 2
        assert result.pred_slice.logits.shape == (changes.get('roi_head.cls_head.num_classes', 3),)


def test_boxes_and_masks_of_a_padded_batch_are_in_pixels_of_each_image():
    """With keep_ratio=True, images have several sizes; each is padded at the right and bottom."""
    model = varied_model({})
    model.init_weights()
    model.eval()
    inputs = [torch.randint(0, 255, (3, *size), dtype=torch.uint8) for size in ((64, 50), (40, 64))]
    shapes = [dict(img_shape=(64, 50)), dict(img_shape=(40, 64))]

    def predict(which, scale):
        samples = []
        for index in which:
            height, width = shapes[index]['img_shape']
            original = dict(ori_shape=(height // scale, width // scale), scale_factor=(float(scale), float(scale)))
            samples.append(slice_sample(0, 64, **shapes[index], **original))
        with torch.no_grad():
            return model.test_step(dict(inputs=[inputs[index] for index in which], data_samples=samples))

    for index, (result, full) in enumerate(zip(predict([0, 1], 2), predict([0, 1], 1))):
        (alone,) = predict([index], 2)  # padded to 64 x 64, as in the batch
        height, width = (side // 2 for side in shapes[index]['img_shape'])
        boxes = result.pred_instances.bboxes
        assert len(boxes) and result.pred_instances.masks.shape[1:] == (height, width)
        assert boxes.min() >= 0 and (boxes.amax(0)[[2, 3]] <= torch.tensor([width, height])).all()
        torch.testing.assert_close(2 * boxes, full.pred_instances.bboxes)
        for field in ('roi_boxes', 'logits'):
            torch.testing.assert_close(result.pred_slice.get(field), alone.pred_slice.get(field), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(2 * result.pred_slice.roi_boxes, full.pred_slice.roi_boxes)


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'roi_head.type': 'MaskScoringRoIHead'}, 'must be an AffinityRoIHead or .* not a MaskScoringRoIHead'),
        ({'roi_head.type': 'CascadeRoIHead'}, 'not a CascadeRoIHead; docs/mmdet.md'),
        ({'roi_head.num_stages': 3}, 'AffinityRoIHead takes no num_stages: it has one box head and one mask head'),
        ({'roi_head.point_head': dict(type='MaskPointHead')}, 'takes no point_head'),
        ({'roi_head.mask_iou_head': dict(type='MaskIoUHead')}, r'\(mask_iou_head\), use AffinityMaskScoringRoIHead'),
        (
            {'roi_head.type': 'AffinityMaskScoringRoIHead', 'roi_head.mask_iou_head': dict(type='MaskIoUHead', num_classes=2)},
            'num_classes of bbox_head is 3, but that of mask_iou_head is 2',
        ),
        ({BOX_HEAD: None}, 'does not support this NoneType as bbox_head'),
        ({'roi_head.shared_head': dict(type='ResLayer', depth=50)}, 'supports no shared_head'),
        ({f'{BOX_HEAD}.loss_cls': dict(type='SeesawLoss', num_classes=3)}, r'Shared2FCBBoxHead as .* \(not SeesawLoss\)'),
        ({f'{MASK_HEAD}.num_classes': 1}, 'num_classes of bbox_head is 3, but that of mask_head is 1'),
        (
            {MASK_HEAD: dict(_delete_=True, type='CoarseMaskHead', fc_out_channels=16, num_classes=3)},
            'cannot copy convs.0.conv.weight from a CoarseMaskHead',
        ),
        ({f'{MASK_HEAD}.upsample_cfg': dict(type='bilinear', scale_factor=2)}, "upsamples by 'deconv' only, not 'bilinear'"),
        ({'roi_head.cls_head.num_classes': 1}, 'num_classes of AffinityClsHead must be at least 2, not 1'),
        ({'data_preprocessor.pad_mask': True}, 'set pad_mask=False'),
    ],
)
def test_unsupported_parts_are_refused_with_the_reason(changes, message):
    with pytest.raises(ValueError, match=message):
        varied_model(changes)


def test_a_preprocessor_that_is_already_built_is_accepted():
    init_default_scope('mmdet')
    config = narrow_config('affinity_mask-rcnn_r50_fpn', '.', '.')
    preprocessor = MODELS.build(config.model.data_preprocessor)
    assert MODELS.build({**config.model, 'data_preprocessor': preprocessor}).data_preprocessor is preprocessor
    preprocessor.pad_mask = True
    with pytest.raises(ValueError, match='set pad_mask=False'):
        MODELS.build({**config.model, 'data_preprocessor': preprocessor})


@pytest.mark.parametrize('name', NARROW)
def test_prediction_of_colour_images(name, tmp_path, monkeypatch):
    """Files, arrays and the model shared as data give the same result as the test pipeline."""
    for variable in ('IMAGE_PAIRS_ROOT', 'CLASS_FOLDERS_ROOT'):
        monkeypatch.setenv(variable, str(tmp_path))
    config = narrow_config(name, tmp_path, tmp_path / 'run')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    meta = dict(dataset_meta=dict(classes=('cat',), slice_classes=('indoors', 'outdoors', 'unknown')))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'model.pth')
    image = np.random.RandomState(0).randint(0, 256, (90, 120, 3)).astype(np.uint8)
    (tmp_path / 'photos').mkdir()
    path = tmp_path / 'photos/a.png'
    cv2.imwrite(str(path), image)

    resolved = copy.deepcopy(config)
    resolve_dataloaders(resolved)
    pipeline = Compose(resolved.test_dataloader.dataset.datasets[-1].pipeline)
    packed = pipeline(dict(img_path=str(path), img_id=0, task='classification'))
    with torch.no_grad():
        (expected,) = model.eval().test_step(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]))
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
    for variable in ('IMAGE_PAIRS_ROOT', 'CLASS_FOLDERS_ROOT'):
        monkeypatch.setenv(variable, str(tmp_path))
    config = narrow_config('affinity_mask-rcnn_r50_fpn', tmp_path, tmp_path / 'run')
    init_default_scope('mmdet')
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), tmp_path / 'model.pth')
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


def test_mmdetections_own_functions(tmp_path, monkeypatch):
    """As in docs/mmdet.md: inference_detector and DetInferencer give the results of AffinityInferencer."""
    for variable in ('IMAGE_PAIRS_ROOT', 'CLASS_FOLDERS_ROOT'):
        monkeypatch.setenv(variable, str(tmp_path))
    config = narrow_config('affinity_mask-rcnn_r50_fpn', tmp_path, tmp_path / 'run')
    resolve_dataloaders(config)
    config.test_dataloader = copy.deepcopy(config.val_dataloader)
    init_default_scope('mmdet')
    model = MODELS.build(config.model)
    model.init_weights()
    meta = dict(dataset_meta=dict(classes=('cat',), slice_classes=('indoors', 'outdoors', 'unknown')))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'model.pth')
    image = np.random.RandomState(0).randint(0, 256, (90, 120, 3)).astype(np.uint8)
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), image)
    (expected,) = AffinityInferencer(config, tmp_path / 'model.pth')(path)
    detector = init_detector(copy.deepcopy(config), str(tmp_path / 'model.pth'), device='cpu')
    assert detector.dataset_meta['slice_classes'] == meta['dataset_meta']['slice_classes']
    inferencer = DetInferencer(copy.deepcopy(config), str(tmp_path / 'model.pth'), device='cpu', show_progress=False)
    results = inferencer(str(path), return_datasamples=True, out_dir=str(tmp_path / 'out'), pred_score_thr=1)
    for sample in (inference_detector(detector, str(path)), inference_detector(detector, image), *results['predictions']):
        assert torch.equal(sample.pred_slice.logits, expected.sample.pred_slice.logits)
        assert torch.equal(sample.pred_instances.masks, expected.sample.pred_instances.masks)
    picture = cv2.imread(str(tmp_path / 'out/vis/a.png'))
    scale = picture_scale(90, 120)
    assert np.array_equal(picture[: 90 * scale : scale, : 120 * scale : scale], image)


def test_a_model_of_colour_images_refuses_scans(tmp_path, monkeypatch):
    config = narrow_config('affinity_mask-rcnn_r50_fpn', tmp_path, tmp_path / 'run')
    init_default_scope('mmdet')
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), tmp_path / 'model.pth')
    write_series(tmp_path / 'series', 2)
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((40, 40, 3), 90, np.uint8))
    inferencer = AffinityInferencer(config, tmp_path / 'model.pth')
    report = predict_to_folder(inferencer, [tmp_path / 'series', tmp_path / 'a.png'], tmp_path / 'out')
    (problem,) = report.problems
    assert problem.reason == 'the model takes colour images (PNG, JPEG and others), not DICOM or NIfTI'
