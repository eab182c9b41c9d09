"""Batch normalisation folded into the preceding convolution, against both in sequence."""

import pytest
import torch
from torch import nn

from mmaffinity.models.fast.conv_norm import conv_norm


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize(
    'norm',
    [nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False), nn.GroupNorm(2, 4), nn.BatchNorm2d(4, track_running_stats=False)],
)
@pytest.mark.parametrize('training', [True, False])
def test_conv_norm(norm, bias, training):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 4, 3, stride=2, padding=1, bias=bias, groups=2).double()
    norm = norm.double().train(training)
    if getattr(norm, 'running_var', None) is not None:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(conv_norm(x, conv, norm), norm(conv(x)))


def test_weight_padding_and_stride_can_be_replaced():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(6, 4, 3, stride=2, padding=1).double(), nn.BatchNorm2d(4).double().eval()
    norm.running_mean.normal_()
    weight = torch.randn(4, 6, 5, 5, dtype=torch.float64)
    x = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    expected = norm(nn.functional.conv2d(x, weight, conv.bias, stride=(1, 3), padding=(2, 0)))
    torch.testing.assert_close(conv_norm(x, conv, norm, weight, padding=(2, 0), stride=(1, 3)), expected)


def test_both_layers_train_as_if_run_in_sequence():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(6, 4, 3).double(), nn.BatchNorm2d(4).double().eval()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    parameters = [*conv.parameters(), *norm.parameters()]
    folded = torch.autograd.grad(conv_norm(x, conv, norm).square().sum(), parameters)
    expected = torch.autograd.grad(norm(conv(x)).square().sum(), parameters)
    for found, wanted in zip(folded, expected):
        torch.testing.assert_close(found, wanted)
