"""RoI extractors and their layers, against MMDetection's and the operations in torch."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from model_helpers import build_model, images, slice_sample
from operation_cases import STRIDE, features, random_rois

from mmaffinity.models import SingleLevelRoIExtractor, SparseRoIAlign
from mmaffinity.ops import roi_align


@pytest.fixture(scope='module', autouse=True)
def scope():
    init_default_scope('mmdet')


def extractor(**roi_layer):
    layer = {**dict(type='SparseRoIAlign', output_size=7, sampling_ratio=2, aligned=False), **roi_layer}
    return MODELS.build(dict(type='SingleLevelRoIExtractor', roi_layer=layer, out_channels=6, featmap_strides=[STRIDE]))


def test_extractor_equals_mmdet():
    x, rois = features(), random_rois()
    reference = MODELS.build(
        dict(
            type='SingleRoIExtractor',
            out_channels=6,
            featmap_strides=[STRIDE],
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2, aligned=False),
        )
    )
    torch.testing.assert_close(extractor()([x], rois), reference([x], rois), rtol=0, atol=1e-5)
    torch.testing.assert_close(extractor(type='RoIAlign')([x], rois), reference([x], rois), rtol=0, atol=0)
    big = random_rois()[:60]
    scaled = reference.roi_rescale(big, 1.5)
    torch.testing.assert_close(extractor()([x], big, roi_scale_factor=1.5), reference([x], scaled), rtol=0, atol=1e-5)
    assert isinstance(extractor().roi_layers[0], SparseRoIAlign) and not list(extractor().state_dict())


@pytest.mark.parametrize('changes', [dict(sampling_ratio=0), dict(pool_mode='max')])
def test_unsupported_cases_fall_back_to_the_plain_form(changes):
    x, rois = features(), random_rois()
    settings = {**dict(sampling_ratio=2, pool_mode='avg'), **changes}
    expected = roi_align(x, rois, (7, 7), 1 / STRIDE, settings['sampling_ratio'], settings['pool_mode'], False)
    torch.testing.assert_close(extractor(**changes)([x], rois), expected, rtol=0, atol=0)


@pytest.mark.parametrize('kind', ['SparseRoIAlign', 'RoIAlign'])
def test_no_rois(kind):
    x = features().requires_grad_()
    y = extractor(type=kind)([x], torch.zeros(0, 5))
    assert y.shape == (0, 6, 7, 7)
    y.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_several_feature_levels_are_rejected():
    with pytest.raises(ValueError, match=r'featmap_strides is \[8, 16\]'):
        SingleLevelRoIExtractor(dict(type='RoIAlign', output_size=7), 6, [8, 16])


# --- memory format -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'layer',
    [
        dict(type='RoIAlign'),
        dict(type='RoIAlign', pool_mode='max'),
        dict(type='SparseRoIAlign', pool_mode='max'),
        dict(type='SparseRoIAlign', sampling_ratio=0),
        dict(type='SparseRoIAlign'),
    ],
    ids=str,
)
def test_memory_format_does_not_change_the_result(layer):
    layer = {'output_size': 7, 'sampling_ratio': 2, **layer}
    extractor = MODELS.build(dict(type='SingleLevelRoIExtractor', roi_layer=layer, out_channels=6, featmap_strides=[STRIDE]))
    rois = random_rois()[:-1]
    by_rows = torch.cat([rois, rois], 1)[:, :5]  # not contiguous either
    expected = extractor((features(),), rois)
    torch.testing.assert_close(extractor((features(channels_last=True),), by_rows), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_whole_model_with_each_extractor():
    """Features stay channels last in the default model, and all three extractors give equal results."""
    data = dict(inputs=images(2, seed=4), data_samples=[slice_sample(), slice_sample()])
    found = {}
    for name, options, last in (
        ('sparse', {}, True),
        ('plain', {f'roi_head.{part}_roi_extractor.roi_layer.type': 'RoIAlign' for part in ('bbox', 'mask')}, True),
        (
            'mmdet',
            {
                **{
                    f'roi_head.{part}_roi_extractor.{key}': value
                    for part in ('bbox', 'mask')
                    for key, value in (('type', 'SingleRoIExtractor'), ('roi_layer.type', 'RoIAlign'))
                },
                'backbone.channels_last': False,
            },
            False,
        ),
    ):
        model = build_model(options).eval()
        assert model.backbone.channels_last is last, name
        found[name] = model.val_step(dict(inputs=data['inputs'], data_samples=copy.deepcopy(data['data_samples'])))
    for name in ('plain', 'mmdet'):
        for ours, theirs in zip(found['sparse'], found[name]):
            torch.testing.assert_close(theirs.pred_slice.logits, ours.pred_slice.logits, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(theirs.pred_instances.bboxes, ours.pred_instances.bboxes, rtol=0, atol=1e-3)


def test_extractors_that_misread_channels_last_are_rejected():
    """mmcv's compiled layers silently return wrong values for channels-last features."""
    with pytest.raises(ValueError, match='mask_roi_extractor is a SingleRoIExtractor, .* backbone.channels_last=False'):
        build_model(
            {'roi_head.mask_roi_extractor.type': 'SingleRoIExtractor', 'roi_head.mask_roi_extractor.roi_layer.type': 'RoIAlign'}
        )
