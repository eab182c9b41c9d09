"""Variations of configs/mmdet: parts of MMDetection that work with an affinity head, and those that are refused."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet_helpers import narrow_config
from mmengine.registry import init_default_scope
from model_helpers import lesion_sample, slice_sample, total

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
    'views': {'test_cfg.views': [dict(flip=True), dict(shift=True)]},
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
        ({**VARIATIONS['Mask Scoring R-CNN'], 'test_cfg.views': [dict(flip=True)]}, 'views of test_cfg .* Mask Scoring R-CNN'),
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
