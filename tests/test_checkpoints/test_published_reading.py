"""Reading of published files: their kind, parts and anchors, and rejection of others."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from published_helpers import generator

from mmaffinity.checkpoints.published import (
    convert_back,
    convert_published,
)
from mmaffinity.checkpoints.safe_pickle import ForeignGlobal, ForeignObject
from mmaffinity.utils.config import load_config


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda w: w.pop('rpn.head.conv.bias'), 'missing rpn.head.conv.bias'),
        (
            lambda w: w.update({'roi_heads.keypoint.weight': torch.ones(1), 'more': torch.ones(1)}),
            'unknown roi_heads.keypoint.weight, unknown more',
        ),
        (lambda w: w.update({'s2new.fc_l1.bias': torch.ones(64)}), r'fc_l1.bias has shape \(64,\) instead of \(128,\)'),
        (lambda w: w.update({'s2new.fc_l1.bias': 'text'}), 's2new.fc_l1.bias is not a tensor but str'),
        (lambda w: w.update({'s2new.fc_l1.bias': torch.ones(128).long()}), 's2new.fc_l1.bias has dtype torch.int64'),
        (lambda w: w.update({'affinity_layer.sieve.1.conv_up.bias': torch.ones(256)}), 'sieve.1.conv_up.bias and .*differ'),
        (lambda w: w.update({'affinity_layer.pars.1': torch.ones(8, 1)}), 'pars.1 and affinity_layer.batch_to_feat_vec'),
        (lambda w: w.pop('affinity_layer.batch_to_feat_mat'), 'missing affinity_layer.batch_to_feat_mat'),
        (
            lambda w: w.update(
                {'s2new.class_predict_logits.weight': torch.ones(4, 128), 's2new.class_predict_logits.bias': torch.ones(4)}
            ),
            '4 classes',
        ),
        (lambda w: w.update({5: torch.ones(1)}), 'a key that is not a string: 5'),
    ],
)
def test_mismatching_file_is_rejected_with_the_differences(weights, change, message):
    change(weights)
    with pytest.raises(ValueError, match=message):
        convert_published({'model_weights': weights})


@pytest.mark.parametrize(
    'content, message',
    [
        ([1], 'not a published checkpoint: it has list instead of model_weights'),
        ({}, 'instead of model_weights'),
        ({'state_dict': {}, 'epoch': 1}, "has 'state_dict', 'epoch' instead"),
        ({'published_extra': {}}, 'already converted'),
        (ForeignObject(ForeignGlobal('a', 'B')), r'has a\.B'),
    ],
)
def test_other_files_are_rejected(content, message):
    with pytest.raises(ValueError, match=message):
        convert_published(content)


def test_the_stated_number_of_affinities_is_checked(weights):
    for stated, message in ((16, 'its field affinity is 16, but its matrix has 8 columns'), ([8], 'is a list')):
        with pytest.raises(ValueError, match=message):
            convert_published({'model_weights': weights, 'affinity': stated})


def test_anchors_are_read_from_the_foreign_object(weights):
    good = dict(sizes=[[2, 4, 8, 16, 32]], aspect_ratios=[[0.1, 0.25, 0.5, 1, 1.5, 2]])
    assert convert_published({'model_weights': weights, 'anchor_generator': generator(**good)})['meta']['anchors'] == {
        'sizes': ((2, 4, 8, 16, 32),),
        'aspect_ratios': ((0.1, 0.25, 0.5, 1, 1.5, 2),),
    }
    with pytest.raises(ValueError, match=r'its anchors have sizes \(\(32\.0, 64\.0\),\)'):
        convert_published({'model_weights': weights, 'anchor_generator': generator(**{**good, 'sizes': [[32, 64]]})})
    with pytest.raises(ValueError, match='no lists of sizes and ratios'):
        convert_published({'model_weights': weights, 'anchor_generator': generator(**{**good, 'sizes': 5})})


def detector_only(weights, two_branches):
    drop = (
        ('affinity_layer.', 's2new.')
        if two_branches
        else (
            'affinity_layer.',
            's2new.',
            'roi_heads.box_head_s2.',
            'roi_heads.box_predictor_s2.',
            'roi_heads.mask_head_s2.',
            'roi_heads.mask_predictor_s2.',
        )
    )
    return {key: value for key, value in weights.items() if not key.startswith(drop)}


def test_matching_parts_of_a_mask_rcnn_are_read(weights, repo_root):
    checkpoint = convert_published(detector_only(weights, False))  # bare weights are accepted, too
    meta, state = checkpoint['meta'], checkpoint['state_dict']
    assert meta['kind'] == 'Mask R-CNN' and meta['not_read'] == []
    assert meta['parts'] == [
        'backbone',
        'neck',
        'RPN',
        'box head of the segmentation branch',
        'mask head of the segmentation branch',
    ]
    config = load_config(repo_root / meta['config'], {**meta['cfg_options'], 'model.backbone.init_cfg': None})
    init_default_scope('mmdet')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert {key: value.shape for key, value in model.state_dict().items()} == {key: value.shape for key, value in state.items()}
    with pytest.raises(ValueError, match='no affinity matrix'):
        convert_back(checkpoint)


def test_matching_parts_of_a_single_shot_model_are_read(weights):
    some = detector_only(weights, True)
    del some['roi_heads.mask_predictor_s2.conv_reduce.weight'], some['roi_heads.mask_predictor_s2.conv_reduce.bias']
    some.update({'s2.fc.weight': torch.ones(512, 640), 'roi_heads.mask_head.mask_fcn2.weight': torch.ones(1)})
    meta = convert_published({'model_weights': some})['meta']
    assert meta['kind'] == 'predecessor with two branches' and meta['config'] is None
    assert meta['parts'] == [
        'backbone',
        'neck',
        'RPN',
        'box head of the segmentation branch',
        'box head of the classification branch',
    ]
    # A mask head that differs in one tensor is not read at all.
    assert {
        's2.fc.weight',
        'roi_heads.mask_head.mask_fcn1.weight',
        'roi_heads.mask_head.mask_fcn2.weight',
        'roi_heads.mask_predictor_s2.conv_mask.bias',
    } <= set(meta['not_read'])
    assert 'rpn.head.conv.weight' not in meta['not_read']


def test_another_backbone_is_rejected(weights):
    some = detector_only(weights, False)
    some['backbone.body.layer4.0.conv1.weight'] = torch.ones(1)
    with pytest.raises(ValueError, match='ResNet-18 up to layer3; unknown backbone.body.layer4.0.conv1.weight'):
        convert_published(some)
    some = {**detector_only(weights, False), 'backbone.body.conv1.weight': torch.ones(64, 1, 7, 7)}
    with pytest.raises(ValueError, match='backbone.body.conv1.weight has shape'):
        convert_published(some)
