"""The mask and affinity heads as plain convolutions, against the heads of the model."""

import pytest
import torch
from model_helpers import SIZE, batch, build_model, images, slice_sample
from torch import nn

from mmaffinity.deployment.heads import (
    AffinityHead,
    MaskFeatures,
    MaskLogits,
    Norm,
    PooledFeatures,
    blocks_down,
    frozen,
    up_to_blocks,
)
from mmaffinity.deployment.slice_graph import SliceGraph
from mmaffinity.models import AffinityClsHead, LesionMaskHead, MaskFeatureHead, PooledMaskFeatureHead
from mmaffinity.models.layers import build_roi_norm

MASK = dict(num_convs=1, in_channels=6, conv_out_channels=6, num_classes=1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def test_mask_logits_equal_those_of_the_head():
    """The model's pasted masks are binary; this compares the logits before pasting."""
    model = build_model().eval()
    graph = SliceGraph(model, SIZE, SIZE).eval()
    inputs = torch.stack(images(1, seed=4)).float()
    with torch.inference_mode():
        outputs = dict(zip(graph.output_names, graph(inputs)))
        number = int(outputs['count'])
        data = model.data_preprocessor(batch(slice_sample(), seed=4))
        features = model.extract_feat(data['inputs'])
        rois = torch.cat([torch.zeros(number, 1), outputs['boxes'][0, :number]], 1)
        expected = model.roi_head._mask_forward(features, rois)['mask_preds'][:, 0]
    torch.testing.assert_close(outputs['masks'][0, :number], expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize('classes', [1, 3])
def test_pixels_of_mask_logits_are_in_place(classes):
    head = LesionMaskHead(**{**MASK, 'num_classes': classes})
    nn.init.normal_(head.conv_logits.bias)
    x = torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(MaskLogits(head)(x), head(x), rtol=1e-4, atol=1e-5)


def test_other_upsampling_is_rejected():
    head = LesionMaskHead(**MASK, upsample_cfg=dict(type='bilinear', scale_factor=2))
    with pytest.raises(ValueError, match="a mask head must have upsample_cfg=dict\\(type='deconv', scale_factor=2\\)"):
        MaskLogits(head)


def test_blocks_are_those_of_both_convolutions():
    up, down = nn.ConvTranspose2d(5, 7, 2, stride=2), nn.Conv2d(7, 4, 2, stride=2)
    x = torch.randn(3, 5, 6, 4)
    blocks = up_to_blocks(up)(x)
    expected = up(x)
    for row in range(2):
        for column in range(2):
            first = 7 * (2 * row + column)
            torch.testing.assert_close(blocks[:, first : first + 7], expected[:, :, row::2, column::2])
    torch.testing.assert_close(blocks_down(down)(blocks), down(expected), rtol=1e-4, atol=1e-5)


def test_mask_features_are_those_of_the_head():
    x = torch.randn(2, 6, 5, 7)
    plain, extra = MaskFeatureHead(**MASK), MaskFeatureHead(**MASK, extra_conv=True)
    blocks = MaskFeatures(plain)(x)
    assert MaskFeatures(plain).as_blocks and not MaskFeatures(extra).as_blocks
    for pixel in range(4):
        torch.testing.assert_close(
            blocks[:, 6 * pixel : 6 * pixel + 6], plain(x)[:, :, pixel // 2 :: 2, pixel % 2 :: 2], rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(MaskFeatures(extra)(x), extra(x), rtol=1e-4, atol=1e-5)
    for extra_conv in (False, True):
        pooled = PooledMaskFeatureHead(**MASK, extra_conv=extra_conv)
        torch.testing.assert_close(PooledFeatures(pooled)(x), pooled(x).flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'cfg', [dict(type='SliceBN'), dict(type='SliceBN', statistics='running'), dict(type='BN'), dict(type='GN', num_groups=2)]
)
def test_norms_equal_the_layers(cfg):
    norm = build_roi_norm(cfg, 6).eval()
    for parameter in norm.parameters():
        parameter.normal_()
    for name, value in norm.named_buffers():
        if 'running' in name:
            value.uniform_(0.5, 2)
    x = torch.randn(8, 6, 3, 3) + torch.arange(8.0).view(8, 1, 1, 1)
    torch.testing.assert_close(Norm(norm, num_rois=4)(x), norm(x, 2), rtol=1e-4, atol=1e-5)


def test_unsupported_parts_are_named():
    head = AffinityClsHead(in_channels=6, roi_size=8, refinement=dict(mid_channels=4), fc_channels=())
    with pytest.raises(ValueError, match='a LesionMaskHead cannot be exported, only MaskFeatureHead, '):
        AffinityHead(LesionMaskHead(**MASK), head, 8)
    with pytest.raises(ValueError, match='a Identity cannot be exported, only AffinityClsHead, FastAffinityClsHead'):
        AffinityHead(MaskFeatureHead(**MASK), nn.Identity(), 8)
    with pytest.raises(ValueError, match='a normalisation of type BatchNorm2d cannot be exported'):
        Norm(nn.BatchNorm2d(6), 8)


def test_a_frozen_copy_leaves_the_model_as_it_is():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    copied = frozen(model)
    assert not copied.training and not any(parameter.requires_grad for parameter in copied.parameters())
    copied[0].weight.zero_()
    assert model.training and all(parameter.requires_grad for parameter in model.parameters()) and model[0].weight.any()
