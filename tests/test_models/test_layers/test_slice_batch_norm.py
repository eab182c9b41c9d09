"""SliceBatchNorm2d against the formula of batch normalisation, slice by slice in float64."""

import pytest
import torch
from torch import nn

from mmaffinity.models.layers import SliceBatchNorm2d

BETA, C = 4, 5


def layer(**kwargs):
    torch.manual_seed(1)
    norm = SliceBatchNorm2d(C, **kwargs)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(C))
        norm.bias.copy_(torch.randn(C))
        norm.running_mean.copy_(torch.randn(C))
        norm.running_var.copy_(torch.rand(C) + 0.5)
    return norm


def features(num_slices, dtype=torch.float32):
    # Slices of different mean and spread, so that mixing them would be detected.
    x = torch.randn(num_slices, BETA, C, 3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    scale = torch.arange(1, num_slices + 1).view(-1, 1, 1, 1, 1)
    return (x * scale + 3 * scale).flatten(0, 1).to(dtype)


def by_hand(x, num_slices, weight, bias, eps=1e-5):
    out = torch.empty_like(x)
    for n in range(num_slices):
        rows = slice(n * BETA, (n + 1) * BETA)
        for c in range(C):
            values = x[rows, c]
            mean = values.sum() / values.numel()
            var = ((values - mean) ** 2).sum() / values.numel()
            out[rows, c] = (values - mean) / torch.sqrt(var + eps) * weight[c] + bias[c]
    return out


@pytest.mark.parametrize('num_slices', [1, 3])
@pytest.mark.parametrize('training', [True, False])
def test_equals_the_formula_per_slice(num_slices, training):
    norm = layer().train(training)
    x = features(num_slices)
    expected = by_hand(x.double(), num_slices, norm.weight.double(), norm.bias.double())
    torch.testing.assert_close(norm(x, num_slices).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('num_slices', [1, 3])
def test_gradients_equal_those_of_the_formula(num_slices):
    norm = layer().double()
    x = features(num_slices, torch.float64).requires_grad_()
    cotangent = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    inputs = (x, norm.weight, norm.bias)
    actual = torch.autograd.grad((norm(x, num_slices) * cotangent).sum(), inputs)
    expected = torch.autograd.grad((by_hand(x, num_slices, norm.weight, norm.bias) * cotangent).sum(), inputs)
    for got, want in zip(actual, expected):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('num_slices', [1, 3])
def test_running_averages(num_slices):
    norm = layer()
    x = features(num_slices, torch.float64)
    values = x.unflatten(0, (num_slices, BETA)).transpose(1, 2).reshape(num_slices, C, -1)
    count = values.shape[-1]
    means = values.mean(-1)
    unbiased = ((values - means[..., None]) ** 2).sum(-1) / (count - 1)
    expected_mean = 0.9 * norm.running_mean.double() + 0.1 * means.mean(0)
    expected_var = 0.9 * norm.running_var.double() + 0.1 * unbiased.mean(0)
    norm(x.float(), num_slices)
    torch.testing.assert_close(norm.running_mean.double(), expected_mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var.double(), expected_var, rtol=1e-5, atol=1e-5)
    assert norm.num_batches_tracked == num_slices


def test_one_slice_is_torch_batch_norm_in_training_mode():
    norm, torchs = layer(), nn.BatchNorm2d(C)
    torchs.load_state_dict(norm.state_dict())
    x = features(1)
    assert torch.equal(norm(x), torchs(x))
    for name, value in torchs.state_dict().items():
        assert torch.equal(norm.state_dict()[name], value), name


@pytest.mark.parametrize('training', [True, False])
def test_slices_are_independent(training):
    norm = layer().train(training)
    x = features(3)
    together = norm(x, 3).unflatten(0, (3, BETA))
    for alone, joint in zip(x.unflatten(0, (3, BETA)), together):
        torch.testing.assert_close(norm(alone), joint, rtol=1e-6, atol=1e-6)
    order = [2, 0, 1]
    shuffled = norm(x.unflatten(0, (3, BETA))[order].flatten(0, 1), 3).unflatten(0, (3, BETA))
    assert torch.equal(shuffled, together[order])


@pytest.mark.parametrize('statistics', ['slice', 'running'])
def test_evaluation_does_not_change_buffers(statistics):
    norm = layer(statistics=statistics).eval()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    norm(features(3), 3)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_running_statistics_in_evaluation_only():
    norm = layer(statistics='running')
    x = features(2)

    def view(value):
        return value.double()[None, :, None, None]

    expected = (x.double() - view(norm.running_mean)) / torch.sqrt(view(norm.running_var) + norm.eps) * view(
        norm.weight
    ) + view(norm.bias)
    torch.testing.assert_close(norm.eval()(x, 2).double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(norm.train()(x, 2), layer(statistics='slice').train()(x, 2))


def test_equal_rois_stay_finite():
    # One box repeated at all ranks: there is no variance, in neither value nor gradient.
    x = torch.full((BETA, C, 1, 1), 7.0).requires_grad_()
    norm = layer()
    y = norm(x)
    torch.testing.assert_close(y, norm.bias[None, :, None, None].expand_as(y), rtol=0, atol=1e-3)
    y.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_names():
    assert set(layer().state_dict()) == {'weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'}
    assert "statistics='slice'" in repr(layer())


def test_bad_arguments():
    with pytest.raises(ValueError, match="one of \\('slice', 'running'\\), not 'batch'"):
        SliceBatchNorm2d(C, statistics='batch')
    with pytest.raises(ValueError, match='8 RoIs cannot be shared equally among 3 slices'):
        layer()(features(2), 3)
