"""RoIAlign as a sparse product, against the form that adds sample by sample and against plain loops."""

import math

import pytest
import torch
from operation_cases import STRIDE, features, random_rois

from mmaffinity.ops import roi_align, sparse_roi_align


@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('size, ratio', [(7, 2), (14, 2), ((3, 5), 1), (4, 3)])
@pytest.mark.parametrize('channels_last', [False, True])
def test_equals_the_sum_sample_by_sample(size, ratio, aligned, channels_last):
    x = features(channels_last=channels_last).requires_grad_()
    rois = random_rois()
    size = (size, size) if isinstance(size, int) else size
    expected = roi_align(x, rois, size, 1 / STRIDE, ratio, 'avg', aligned)
    found = sparse_roi_align(x, rois, size, 1 / STRIDE, ratio, aligned)
    assert found.shape == expected.shape and found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (found, expected)]
    scale = gradients[1].abs().max()
    torch.testing.assert_close(gradients[0] / scale, gradients[1] / scale, rtol=0, atol=1e-5)


def bin_by_hand(plane, start_y, start_x, step_y, step_x, i, j, ratio):
    """Mean of the bilinear samples of one bin; plane is a list of rows."""
    height, width = len(plane), len(plane[0])
    total = 0.0
    for a in range(ratio):
        for b in range(ratio):
            y = start_y + (i + (a + 0.5) / ratio) * step_y
            x = start_x + (j + (b + 0.5) / ratio) * step_x
            if not (-1 <= y <= height and -1 <= x <= width):
                continue
            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
            y0, x0 = math.floor(y), math.floor(x)
            for yy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
                for xx, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
                    if wy * wx:
                        total += wy * wx * plane[yy][xx]
    return total / ratio**2


def test_equals_loops_in_float64():
    x = features(1, 1, torch.float64)
    for _, x1, y1, x2, y2 in random_rois(10, 1).double().tolist():
        found = sparse_roi_align(x, torch.tensor([[0.0, x1, y1, x2, y2]], dtype=torch.float64), (3, 3), 1 / STRIDE, 2, False)
        step_y, step_x = (max((b - a) / STRIDE, 1.0) / 3 for a, b in ((y1, y2), (x1, x2)))
        expected = [
            [bin_by_hand(x[0, 0].tolist(), y1 / STRIDE, x1 / STRIDE, step_y, step_x, i, j, 2) for j in range(3)]
            for i in range(3)
        ]
        torch.testing.assert_close(found[0, 0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_gradient_by_differences():
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rois = torch.tensor([[0.0, 10.0, 8.0, 70.0, 66.0], [0.0, 0.0, 0.0, 9.0, 90.0]])
    assert torch.autograd.gradcheck(lambda y: sparse_roi_align(y, rois, (2, 2), 1 / STRIDE, 2, False), x)


def test_results_are_bitwise_reproducible():
    rois = random_rois(200)
    results = []
    for _ in range(3):
        x = features(channels=16).requires_grad_()
        y = sparse_roi_align(x, rois, (7, 7), 1 / STRIDE, 2, False)
        y.square().sum().backward()
        results.append((y.detach(), x.grad))
    for y, grad in results[1:]:
        assert torch.equal(y, results[0][0]) and torch.equal(grad, results[0][1])


def test_rois_are_independent():
    x, rois = features(), random_rois()
    together = sparse_roi_align(x, rois, (7, 7), 1 / STRIDE, 2, False)
    for i in (0, 13, 61):
        assert torch.equal(sparse_roi_align(x, rois[i : i + 1], (7, 7), 1 / STRIDE, 2, False)[0], together[i])


def test_bfloat16_keeps_the_coordinates_precise():
    x = features()
    rois = random_rois()
    expected = sparse_roi_align(x.bfloat16().float(), rois, (7, 7), 1 / STRIDE, 2, False)
    found = sparse_roi_align(x.bfloat16(), rois, (7, 7), 1 / STRIDE, 2, False)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected.bfloat16(), rtol=0, atol=0)


def test_non_finite_rois_do_not_read_out_of_bounds():
    y = sparse_roi_align(features(), torch.tensor([[0.0, math.nan, 1.0, 2.0, 3.0], [1.0, 1.0, math.inf, 2.0, 3.0]]), (7, 7))
    assert y.shape == (2, 6, 7, 7)


def test_no_rois():
    x = features().requires_grad_()
    bins = sparse_roi_align(x, torch.zeros(0, 5), (7, 7))
    assert bins.shape == (0, 6, 7, 7)
    bins.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_an_adaptive_number_of_samples_is_rejected():
    with pytest.raises(ValueError, match='sampling_ratio must be at least 1, not 0'):
        sparse_roi_align(features(), random_rois(), (7, 7), sampling_ratio=0)
