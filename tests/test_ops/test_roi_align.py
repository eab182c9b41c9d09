"""RoIAlign in plain torch against mmcv's compiled operation, its recorded results and finite differences."""

import platform

import numpy as np
import pytest
import torch
from operation_cases import ALIGN_OPTIONS, RECORDED, SCALE, map_and_rois

from mmaffinity.ops import RoIAlign, is_compiled, roi_align

# mmcv's kernel for CPUs, compiled without fused multiply-add, is matched bit for bit.
EXACT = platform.machine() in ('x86_64', 'AMD64')


@pytest.fixture(scope='module')
def compiled():
    if not is_compiled():
        pytest.skip('mmcv is installed without compiled operations')
    return __import__('mmcv.ops').ops


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0 if EXACT else 1e-5)


@pytest.mark.parametrize('number', range(len(ALIGN_OPTIONS)))
def test_equals_recorded_mmcv_results(number):
    size, ratio, mode, aligned = ALIGN_OPTIONS[number]
    with np.load(RECORDED) as content:
        features, rois, bins, gradient = (
            torch.from_numpy(content[name]) for name in ('features', 'rois', f'bins {number}', f'gradient {number}')
        )
    features.requires_grad_()
    found = roi_align(features, rois, size, SCALE, ratio, mode, aligned)
    # Recorded on x86-64 and computed in the same order here, whatever this machine is.
    torch.testing.assert_close(found, bins, rtol=0, atol=0)
    weights = torch.arange(found.numel()).view_as(found) % 7 - 3.0
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), features)[0], gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('channels', [1, 5, 300])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equals_mmcv(compiled, channels, dtype):
    for seed in range(2):
        features, rois = (values.to(dtype) for values in map_and_rois(channels, seed))
        scale = 1 / 16  # a power of two: mmcv rounds the scale to single precision
        for size, ratio, mode, aligned in ALIGN_OPTIONS:
            ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
            found = roi_align(ours, rois, size, scale, ratio, mode, aligned)
            expected = compiled.roi_align(theirs, rois, size, scale, ratio, mode, aligned)
            assert_same(found, expected)
            weights = torch.randn(found.shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))
            gradients = [torch.autograd.grad((bins * weights).sum(), x)[0] for bins, x in ((found, ours), (expected, theirs))]
            torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('aligned', [False, True])
def test_masks_equal_mmcv(compiled, aligned):
    """As mask targets are made: one channel and an image per RoI."""
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(12, 1, 90, 70, generator=generator) > 0.5).float()
    corner = (torch.rand(12, 2, generator=generator) * 40).round()
    rois = torch.cat([torch.arange(12)[:, None], corner, corner + (torch.rand(12, 2, generator=generator) * 70).round()], 1)
    found = roi_align(masks, rois, (28, 28), 1.0, 0, 'avg', aligned)
    assert_same(found, compiled.roi_align(masks, rois, (28, 28), 1.0, 0, 'avg', aligned))


def test_mmcv_misreads_channels_last(compiled):
    """Why SingleLevelRoIExtractor copies features for mmcv's layers; if this fails, mmcv reads them correctly."""
    features, rois = map_and_rois()
    expected = roi_align(features, rois, 5, SCALE, 2)
    features = features.contiguous(memory_format=torch.channels_last)
    assert torch.equal(roi_align(features, rois, 5, SCALE, 2), expected)
    assert (compiled.roi_align(features, rois, 5, SCALE, 2, 'avg', True) - expected).abs().max() > 0.1


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('ratio, mode', [(0, 'avg'), (2, 'avg'), (2, 'max')])
def test_gradient_by_differences(channels, ratio, mode):
    features, rois = (values.double() for values in map_and_rois(channels))
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, 3, SCALE, ratio, mode), features)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('ratio', [0, 2])
def test_no_rois(channels, mode, ratio):
    features = map_and_rois(channels)[0].requires_grad_()
    bins = roi_align(features, torch.zeros(0, 5), (3, 2), SCALE, ratio, mode)
    assert bins.shape == (0, channels, 3, 2)
    bins.sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('ratio', [0, 2])
def test_unusual_rois_do_not_read_out_of_bounds(channels, ratio):
    features, _ = map_and_rois(channels)
    rois = torch.tensor(
        [
            [0.0, torch.nan, 1.0, 2.0, 3.0],
            [1.0, 1.0, torch.inf, 2.0, 3.0],
            [0.0, 1.0, 1.0, torch.inf, 3.0],
            [0.0, 80.0, 60.0, 40.0, 30.0],
            [0.0, -1e6, -1e6, -9e5, -9e5],
        ]
    )
    bins = roi_align(features, rois, 3, SCALE, ratio)
    assert bins.shape == (5, channels, 3, 3) and bins[0].isnan().all() and not bins[4].any()
    assert torch.isfinite(bins[3:]).all()
    with pytest.raises(IndexError):
        roi_align(features, torch.tensor([[7.0, 0.0, 0.0, 9.0, 9.0]]), 3, SCALE, ratio)


def test_swapped_corners_are_sampled_in_reverse():
    features, rois = map_and_rois()
    swapped = rois[:, [0, 3, 4, 1, 2]]
    expected = roi_align(features, rois, 4, SCALE, 2).flip(2, 3)
    torch.testing.assert_close(roi_align(features, swapped, 4, SCALE, 2), expected, rtol=0, atol=1e-5)
    assert not roi_align(features, swapped[:10], 4, SCALE, 0).any()  # no cell is covered


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16])
def test_half_precision_is_interpolated_in_single(precision):
    features, rois = map_and_rois()
    features = features.to(precision)
    found = roi_align(features, rois, 4, SCALE, 2)
    assert found.dtype == precision and torch.equal(found, roi_align(features.float(), rois, 4, SCALE, 2).to(precision))


def test_mixed_precision_changes_nothing():
    features, rois = map_and_rois()
    results = []
    for enabled in (False, True):
        x = features.clone().requires_grad_()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            bins = roi_align(x, rois, 4, SCALE, 2)
            bins.square().sum().backward()
        results.append((bins.detach(), x.grad))
    assert all(torch.equal(*pair) for pair in zip(*results))


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize('channels', [1, 8])
def test_can_be_traced(channels):
    """As by MMEngine's get_model_complexity_info, with features that require a gradient."""
    features = torch.rand(1, channels, 12, 12, requires_grad=True)
    rois = torch.tensor([[0.0, 1, 1, 30, 40], [0, 3, 2, 20, 11]])
    trace = torch.jit.trace(lambda x: roi_align(x, rois, 4, 0.25), features, check_trace=False)
    assert torch.equal(trace(features), roi_align(features, rois, 4, 0.25))


def test_the_layer():
    features, rois = map_and_rois()
    layer = RoIAlign(4, SCALE, 2, 'max', False, use_torchvision=True)
    assert torch.equal(layer(features, rois), roi_align(features, rois, (4, 4), SCALE, 2, 'max', False))
    assert repr(layer) == (
        f"RoIAlign(output_size=(4, 4), spatial_scale={SCALE}, sampling_ratio=2, pool_mode='max', aligned=False)"
    )


def test_bad_arguments():
    features, rois = map_and_rois()
    with pytest.raises(ValueError, match=r"one of \('avg', 'max'\), not 'mean'"):
        roi_align(features, rois, 3, pool_mode='mean')
    with pytest.raises(ValueError, match="not 'mean'"):
        RoIAlign(3, pool_mode='mean')
    with pytest.raises(ValueError, match=r'not \(2, 3, 7, 9\) and \(15, 4\)'):
        roi_align(features, rois[:, 1:], 3)
