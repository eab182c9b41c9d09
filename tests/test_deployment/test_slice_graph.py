"""The exported graph against the model in torch: equal boxes, masks, classes and intermediate results."""

import pytest
import torch
from model_helpers import POOLED, SIZE, build_model, images, slice_sample

from mmaffinity.deployment.slice_graph import LESION_OUTPUTS, SLICE_OUTPUTS, SliceGraph

STEADY = {
    'roi_head.roi_selector': dict(_delete_=True, type='SoftRoISelector', num_candidates=12),
    'roi_head.cls_head.norm_cfg': dict(type='GN', num_groups=4),
    'test_cfg.rpn.max_per_img': 400,
    'test_cfg.rpn.nms.iou_threshold': 1.0,
}
CODER = dict(type='WeightedBoxCoder', weights=(10.0, 10.0, 5.0, 5.0))
MODELS = {
    'paper': {},
    'few boxes, stretched': {'roi_head.roi_selector.nms_iou': 0.01, 'test_cfg.rpn.nms_pre': 30, 'test_cfg.rpn.max_per_img': 6},
    'no box with an area': {'roi_head.roi_selector.min_area': 1e9},
    'steady': STEADY,
    'published': {
        'roi_head.mask_feature_head.extra_conv': True,
        'roi_head.cls_head.refinement.shared': True,
        'roi_head.cls_head.refinement.num_stages': 3,
        'roi_head.cls_head.type': 'AffinityClsHead',
        'roi_head.bbox_head.bbox_coder': dict(_delete_=True, **CODER),
        'data_preprocessor.num_channels': 3,
        'data_preprocessor.normalization': 'slice',
        'data_preprocessor.mean': None,
        'data_preprocessor.std': None,
    },
    'running statistics': {'roi_head.cls_head.norm_cfg': dict(type='SliceBN', statistics='running')},
    'pooled': POOLED,
    'pooled, with an extra convolution': {**POOLED, 'roi_head.mask_feature_head.extra_conv': True},
    'pooled, with the whole slice': {**POOLED, 'roi_head.cls_head.slice_roi': True},
    'pooled and steady, with the whole slice': {
        **{key: value for key, value in STEADY.items() if 'norm_cfg' not in key},
        **POOLED,
        'roi_head.cls_head.slice_roi': True,
        'roi_head.cls_head.norm_cfg': dict(type='GN', num_groups=4),
    },
    'two lesion classes': {'roi_head.bbox_head.num_classes': 2, 'roi_head.mask_head.num_classes': 2},
    'two lesion classes, steady': {**STEADY, 'roi_head.bbox_head.num_classes': 2, 'roi_head.mask_head.num_classes': 2},
}


def close(found, expected, what):
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3, msg=lambda text: f'{what}: {text}')


@torch.inference_mode()
def compare(model, slices=3):
    graph = SliceGraph(model, SIZE, SIZE).eval()
    inputs = images(slices, seed=4)
    outputs = dict(zip(graph.output_names, graph(torch.stack(inputs).float())))
    for row, image in enumerate(inputs):
        (sample,) = model.val_step(dict(inputs=[image], data_samples=[slice_sample()]))
        if 'count' in outputs:
            lesions, number = sample.pred_instances, int(outputs['count'][row])
            assert number == len(lesions) and not outputs['scores'][row, number:].any()
            for name, field in (('boxes', 'bboxes'), ('scores', 'scores'), ('labels', 'labels')):
                close(outputs[name][row, :number], lesions[field], name)
            assert (outputs['masks'][row, number:] < 0).all()
        if 'logits' in outputs:
            for name, field in (
                ('probabilities', 'score'),
                ('logits', 'logits'),
                ('roi_boxes', 'roi_boxes'),
                ('roi_scores', 'roi_scores'),
                ('roi_weights', 'roi_weights'),
                ('X', 'roi_features'),
                ('Y', 'affinity'),
                ('z', 'features'),
            ):
                close(outputs[name][row], getattr(sample.pred_slice, field), name)
    return outputs


@pytest.mark.parametrize('name', MODELS)
def test_equals_the_model(name):
    outputs = compare(build_model(MODELS[name]).eval())
    assert tuple(outputs) == (*LESION_OUTPUTS, *SLICE_OUTPUTS) and outputs['count'].sum() > 0


def test_branches_with_different_weights():
    model = build_model().eval()
    with torch.no_grad():
        model.roi_head.classification_branch.bbox_head.fc_cls.weight.mul_(0.5)
    compare(model)


@pytest.mark.parametrize(('mode', 'names'), [('detection', LESION_OUTPUTS), ('classification', SLICE_OUTPUTS)])
def test_modes_return_only_their_outputs(mode, names):
    assert tuple(compare(build_model({'test_cfg.mode': mode}).eval())) == names


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'roi_head.roi_selector.stretch': 'random'}, "stretch='even'"),
        ({'roi_head.roi_selector.ties': 'unstable'}, "ties='index'"),
        ({'roi_head.bbox_head.reg_class_agnostic': True}, 'reg_class_agnostic'),
        ({'test_cfg.rpn.min_bbox_size': 4}, 'min_bbox_size'),
        ({'rpn_head.bbox_coder.add_ctr_clamp': True}, 'bbox_coder'),
        ({**STEADY, 'test_cfg.rpn.nms_pre': 10, 'test_cfg.rpn.max_per_img': 10}, 'proposals'),
        (
            {**POOLED, 'roi_head.mask_feature_head.type': 'MaskFeatureHead', 'roi_head.cls_head.roi_size': 28},
            'refinement=False',
        ),
        ({'data_preprocessor.mean': None, 'data_preprocessor.std': None}, 'mean and std'),
    ],
)
def test_unsupported_parts_are_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        SliceGraph(build_model(overrides), SIZE, SIZE)
