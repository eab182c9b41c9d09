"""Folded layers against the original layers, in both precisions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmaffinity.models.fast.folding import FoldedUpConv, fold_up_down, splits_into_blocks, upsample_blocks

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


def close(found, expected):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=TOLERANCE[expected.dtype])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('kernel', [2, 3])
def test_up_down_is_one_matrix_per_position(kernel, dtype):
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(5, 7, kernel, stride=kernel).to(dtype)
    down = nn.Conv2d(7, 4, kernel, stride=kernel).to(dtype)
    x = torch.randn(3, 5, 6, 9, dtype=dtype, requires_grad=True)
    weight, bias = fold_up_down(up, down)
    assert weight.shape == (4, 5, 1, 1) and bias.shape == (4,)
    folded, naive = F.conv2d(x, weight, bias), down(up(x))
    close(folded, naive)
    # Both layers train as if run in sequence.
    factor = torch.randn(naive.shape, dtype=dtype)
    wanted = [x, *up.parameters(), *down.parameters()]
    for found, expected in zip(*(torch.autograd.grad((y * factor).sum(), wanted) for y in (folded, naive))):
        close(found, expected)


@pytest.mark.parametrize(
    'up, down',
    [
        (nn.ConvTranspose2d(3, 3, 2, stride=2), nn.Conv2d(3, 3, 3, stride=3)),
        (nn.ConvTranspose2d(3, 3, 2, stride=2), nn.Conv2d(3, 3, 2, stride=1)),
        (nn.ConvTranspose2d(3, 3, 2, stride=2, padding=1), nn.Conv2d(3, 3, 2, stride=2)),
        (nn.ConvTranspose2d(3, 3, 2, stride=2, output_padding=1), nn.Conv2d(3, 3, 2, stride=2)),
        (nn.ConvTranspose2d(3, 3, 2, stride=2), nn.Conv2d(3, 3, 2, stride=2, dilation=2)),
        (nn.ConvTranspose2d(3, 3, 2, stride=2), nn.Conv2d(3, 3, 2, stride=2, groups=3)),
    ],
)
def test_other_layers_are_rejected(up, down):
    with pytest.raises(ValueError, match='only layers with kernel = stride'):
        fold_up_down(up, down)


# --- transposed convolution and 3x3 convolution ----------------------------------------------------------------------


def up_and_conv(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.ConvTranspose2d(5, 7, 2, stride=2).to(dtype), nn.Conv2d(7, 4, 3, padding=1).to(dtype)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('size', [(14, 14), (1, 1), (1, 5), (2, 3)])
@pytest.mark.parametrize('channels_last', [True, False])
def test_up_conv_is_exact_at_borders(size, dtype, channels_last):
    up, conv = up_and_conv(dtype)
    with torch.no_grad():
        up.bias.add_(3)  # reveals wrong borders
    x = torch.randn(3, 5, *size, dtype=dtype)
    x = (x.contiguous(memory_format=torch.channels_last) if channels_last else x).requires_grad_()
    expected = conv(up(x))
    found = FoldedUpConv()(x, up, conv)
    close(found, expected)
    factor = torch.randn(expected.shape, dtype=dtype)
    close(*(torch.autograd.grad((y * factor).sum(), x)[0] for y in (found, expected)))


def test_up_conv_follows_its_weights():
    up, conv = up_and_conv()
    folded, x = FoldedUpConv(), torch.randn(2, 5, 4, 4)
    close(folded(x, up, conv), conv(up(x)))
    weight = folded._weight
    folded(x, up, conv)
    assert folded._weight is weight  # not folded again
    for change in (
        lambda: up.load_state_dict({name: value + 1 for name, value in up.state_dict().items()}),
        lambda: conv.weight.data.mul_(2),
        lambda: up.bias.data.add_(1),
        lambda: conv.bias.data.fill_(5),
        lambda: (up.double(), conv.double()),
    ):
        change()
        x = x.to(up.weight.dtype)
        close(folded(x, up, conv), conv(up(x)))


def test_up_conv_rejects_other_layers():
    up, conv = up_and_conv()
    with pytest.raises(ValueError, match='expected a 2x2 stride-2 transposed and a 3x3 convolution'):
        FoldedUpConv()(torch.zeros(1, 5, 4, 4), up, nn.Conv2d(7, 4, 3))


# --- transposed convolution alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('channels_last', [True, False])
def test_blocks_are_the_pixels(dtype, channels_last):
    up, _ = up_and_conv(dtype)
    x = torch.randn(3, 5, 4, 6, dtype=dtype)
    x = (x.contiguous(memory_format=torch.channels_last) if channels_last else x).requires_grad_()
    blocks, expected = upsample_blocks(x, up), up(x)
    assert blocks.shape == (3, 4, 6, 2, 2, 7)
    for a in range(2):
        for b in range(2):
            close(blocks[:, :, :, a, b], expected[:, :, a::2, b::2].permute(0, 2, 3, 1))
    factor = torch.randn(blocks.shape, dtype=dtype)
    placed = factor.permute(0, 5, 1, 3, 2, 4).reshape(expected.shape)
    wanted = [x, *up.parameters()]
    for found, true in zip(
        torch.autograd.grad((blocks * factor).sum(), wanted), torch.autograd.grad((expected * placed).sum(), wanted)
    ):
        close(found, true)


def test_layers_that_split_into_blocks():
    assert splits_into_blocks(nn.ConvTranspose2d(3, 3, 2, stride=2))
    for layer in (
        nn.ConvTranspose2d(3, 3, 3, stride=3),
        nn.ConvTranspose2d(3, 3, 2, stride=2, padding=1),
        None,
        nn.ConvTranspose2d(3, 3, 2, stride=2, groups=3),
        nn.ConvTranspose2d(3, 3, 2, stride=2, bias=False),
        nn.ConvTranspose2d(3, 3, 2, stride=2, output_padding=1),
        nn.Upsample(scale_factor=2),
    ):
        assert not splits_into_blocks(layer)
