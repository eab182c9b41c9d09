"""Mask heads as matrix products in small groups of RoIs, against MMDetection's layers."""

import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead

from mmaffinity.models import FastLesionMaskHead, FastMaskFeatureHead, MaskFeatureHead
from mmaffinity.models.fast import fast_mask_heads

SETTINGS = dict(num_convs=1, in_channels=6, conv_out_channels=5, num_classes=2)


def pair(kind, dtype=torch.float64, **settings):
    torch.manual_seed(0)
    reference = FCNMaskHead(**{**SETTINGS, **settings}).to(dtype)
    head = kind(**{**SETTINGS, **settings}).to(dtype)
    head.load_state_dict({name: value for name, value in reference.state_dict().items() if name in head.state_dict()})
    return reference, head


@pytest.mark.parametrize('num', [0, 1, 16, 37])
@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize(
    'settings', [dict(), dict(class_agnostic=True), dict(num_convs=2), dict(upsample_cfg=dict(type='bilinear', scale_factor=2))]
)
def test_same_logits(num, dtype, tolerance, settings):
    reference, head = pair(FastLesionMaskHead, dtype, **settings)
    x = torch.randn(num, 6, 14, 14, dtype=dtype)
    expected = reference(x)
    for found in (head(x), torch.no_grad()(head)(x.contiguous(memory_format=torch.channels_last))):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def test_few_rois_at_a_time(monkeypatch):
    _, head = pair(FastLesionMaskHead)
    sizes = []
    monkeypatch.setattr(
        fast_mask_heads,
        'upsample_blocks',
        lambda x, up, call=fast_mask_heads.upsample_blocks: sizes.append(len(x)) or call(x, up),
    )
    head(torch.randn(37, 6, 14, 14, dtype=torch.float64))
    assert sizes == [16, 16, 5]


def test_same_gradients():
    reference, head = pair(FastLesionMaskHead)
    x = torch.randn(20, 6, 14, 14, dtype=torch.float64, requires_grad=True)
    factor = torch.randn(20, 2, 28, 28, dtype=torch.float64)
    found, expected = (torch.autograd.grad((h(x) * factor).sum(), [x, *h.parameters()]) for h in (head, reference))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('kind', [FastMaskFeatureHead, MaskFeatureHead])
def test_same_features(kind):
    reference, head = pair(kind)
    x = torch.randn(3, 6, 14, 14, dtype=torch.float64, requires_grad=True)
    expected = reference.relu(reference.upsample(reference.convs[0](x)))
    found = head(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    factor = torch.randn(expected.shape, dtype=torch.float64)
    torch.testing.assert_close(*(torch.autograd.grad((y * factor).sum(), x)[0] for y in (found, expected)))


def test_same_features_with_the_extra_convolution():
    """Frozen, as in the model, and trained."""
    torch.manual_seed(0)
    plain, fast = (kind(**SETTINGS, extra_conv=True).double() for kind in (MaskFeatureHead, FastMaskFeatureHead))
    fast.load_state_dict(plain.state_dict())
    for trained in (False, True):
        x = torch.randn(3, 6, 14, 14, dtype=torch.float64, requires_grad=True)
        factor = torch.randn(3, 5, 28, 28, dtype=torch.float64)
        found, expected = (head.requires_grad_(trained)(x) for head in (fast, plain))
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(
            *(torch.autograd.grad((y * factor).sum(), x)[0] for y in (found, expected)), rtol=1e-10, atol=1e-10
        )
