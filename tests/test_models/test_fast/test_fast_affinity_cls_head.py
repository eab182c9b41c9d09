"""The folded slice head against the plain one."""

import copy

import pytest
import torch

from mmaffinity.models import AffinityClsHead, FastAffinityClsHead
from mmaffinity.structures import RankedRoIs

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


def pair(dtype=torch.float64, **settings):
    torch.manual_seed(0)
    arguments = dict(num_classes=3, num_rois=4, num_affinities=5, in_channels=6, roi_size=8, fc_channels=(7,))
    plain = AffinityClsHead(**arguments, **settings)
    plain.init_weights()
    fast = FastAffinityClsHead(**arguments, **settings)
    fast.load_state_dict(plain.state_dict())
    return plain.to(dtype), fast.to(dtype)


def close(found, expected):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=TOLERANCE[expected.dtype])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('num_slices', [1, 2])
@pytest.mark.parametrize('num_stages, shared', [(3, False), (9, True), (1, False), (1, True)])
@pytest.mark.parametrize('training', [True, False])
def test_same_vectors_gradients_and_statistics(num_stages, shared, num_slices, dtype, training):
    plain, fast = (
        head.train(training) for head in pair(dtype, refinement=dict(num_stages=num_stages, shared=shared, mid_channels=5))
    )
    x = torch.randn(num_slices * 4, 6, 8, 8, dtype=dtype, requires_grad=True)
    found, expected = (head.vectors(x, num_slices) for head in (fast, plain))
    assert found.shape == (num_slices, 4, 6)
    close(found, expected)
    for (name, ours), theirs in zip(fast.named_buffers(), plain.buffers()):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)
    factor = torch.randn(expected.shape, dtype=dtype)
    layers = [[*head.refinement.parameters(), *head.vectorization.parameters()] for head in (fast, plain)]
    ours = torch.autograd.grad((found * factor).sum(), [x, *layers[0]])
    theirs = torch.autograd.grad((expected * factor).sum(), [x, *layers[1]])
    if dtype == torch.float64:  # after nine normalisations, float32 retains only the first digits
        largest = max(gradient.abs().max() for gradient in theirs)
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a / largest, b / largest, rtol=0, atol=1e-10)


@pytest.mark.parametrize('slice_roi', [False, True])
def test_without_refinement_it_equals_the_plain_head(slice_roi):
    plain, fast = pair(refinement=False, norm_cfg=dict(type='BN'), slice_roi=slice_roi)
    features = torch.randn(2, 4 + slice_roi, 6, 8, 8, dtype=torch.float64)
    rois = RankedRoIs(torch.zeros(2, 5, 4), torch.zeros(2, 5), torch.zeros(2, 5, 4), features)
    assert torch.equal(fast(rois)['logits'], plain(rois)['logits'])


@pytest.mark.parametrize('norm_cfg', [None, dict(type='GN', num_groups=1)])
def test_same_outputs(norm_cfg):
    plain, fast = pair(norm_cfg=norm_cfg)
    features = torch.randn(2, 4, 6, 8, 8, dtype=torch.float64)
    rois = RankedRoIs(torch.zeros(2, 4, 4), torch.zeros(2, 4), torch.zeros(2, 4, 4), features)
    found, expected = fast(copy.copy(rois)), plain(rois)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        close(found[name], value)


def test_memory_format_does_not_matter():
    _, fast = pair(torch.float32)
    x = torch.randn(8, 6, 8, 8)
    close(fast.vectors(x.contiguous(memory_format=torch.channels_last), 2), fast.vectors(x, 2))
