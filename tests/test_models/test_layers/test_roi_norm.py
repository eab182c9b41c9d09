"""Group normalisation of RoIs against its formula, and the choice of a normalisation."""

import pytest
import torch

from mmaffinity.models.layers import RoIGroupNorm, SliceBatchNorm2d, build_roi_norm


def test_group_norm_treats_each_roi_independently():
    torch.manual_seed(0)
    norm = build_roi_norm(dict(type='GN', num_groups=2), 6).double()
    with torch.no_grad():
        norm.weight.normal_(), norm.bias.normal_()
    x = torch.randn(4, 6, 3, 3, dtype=torch.float64)
    found = norm(x, 2)
    for roi in range(4):
        for group in (slice(0, 3), slice(3, 6)):
            values = x[roi, group]
            var, mean = torch.var_mean(values, correction=0)
            expected = (values - mean) / (var + norm.eps).sqrt()
            expected = expected * norm.weight[group, None, None] + norm.bias[group, None, None]
            torch.testing.assert_close(found[roi, group], expected)
    torch.testing.assert_close(norm(x[1:2]), found[1:2])  # whatever the other RoIs


def test_batch_norm_spans_all_rois_of_a_batch():
    torch.manual_seed(0)
    norm = build_roi_norm(dict(type='BN', momentum=1.0), 6).double()
    x = torch.randn(8, 6, 3, 3, dtype=torch.float64) + torch.arange(8.0).view(8, 1, 1, 1)
    var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0, keepdim=True)
    found = norm(x, 2)
    torch.testing.assert_close(found, (x - mean) / (var + norm.eps).sqrt())
    assert (found[4:].mean() - found[:4].mean()) > 1  # the mean level of a slice is kept
    torch.testing.assert_close(norm.eval()(x[1:2]), norm(x, 2)[1:2])  # whatever the other RoIs


def test_batch_norm_of_one_value_uses_running_averages():
    norm = build_roi_norm(dict(type='BN'), 6).double()
    norm(torch.randn(8, 6, 1, 1, dtype=torch.float64) + 3, 8)
    before = {name: value.clone() for name, value in norm.named_buffers()}
    x = torch.randn(1, 6, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(norm(x), norm.eval()(x))
    assert all(torch.equal(value, before[name]) for name, value in norm.named_buffers())


def test_batch_norm_can_keep_its_running_averages_in_training():
    norm = build_roi_norm(dict(type='BN', norm_eval=True), 6).double()
    with torch.no_grad():
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    before = {name: value.clone() for name, value in norm.named_buffers()}
    x = torch.randn(8, 6, 1, 1, dtype=torch.float64, requires_grad=True)
    found = norm.train()(x, 8)
    torch.testing.assert_close(found, norm.eval()(x, 8))
    assert all(torch.equal(value, before[name]) for name, value in norm.named_buffers())
    found.sum().backward()
    torch.testing.assert_close(x.grad[0, :, 0, 0], (norm.running_var + norm.eps).rsqrt())
    assert norm.bias.grad is not None


def test_norm_type_selection():
    assert isinstance(build_roi_norm(None, 8), SliceBatchNorm2d)
    assert build_roi_norm(dict(type='SliceBN', statistics='running'), 8).statistics == 'running'
    norm = build_roi_norm(dict(type='GN', eps=1e-3), 64)
    assert isinstance(norm, RoIGroupNorm) and (norm.num_groups, norm.eps) == (32, 1e-3)
    for cfg, message in (
        (dict(type='IN'), "'BN' or 'GN', not 'IN'"),
        (dict(num_groups=2), 'not None'),
        (dict(type='GN', num_groups=5), 'num_groups=5'),
        (dict(type='GN', num_groups=0), 'num_groups=0'),
    ):
        with pytest.raises(ValueError, match=message):
            build_roi_norm(cfg, 8)
