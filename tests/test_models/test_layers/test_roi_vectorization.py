"""RoIVectorization against sums over blocks of pixels."""

import pytest
import torch

from mmaffinity.models.layers import RoIVectorization

BETA, C = 3, 4


def by_hand(layer, x, num_slices):
    for i, (conv, norm) in enumerate(zip(layer.convs, layer.norms)):
        k = 2 if i < 2 else x.shape[-1]  # the last kernel covers the rest of the map
        side = x.shape[-1] // k
        blocks = x.reshape(len(x), C, side, k, side, k)
        x = torch.einsum('rcyixj,dcij->rdyx', blocks, conv.weight) + conv.bias.view(1, -1, 1, 1)
        x = x.clamp(min=0)  # ReLU before the normalisation, unlike the refinement
        parts = []
        for rois in x.chunk(num_slices):
            var, mean = torch.var_mean(rois, dim=(0, 2, 3), correction=0, keepdim=True)
            parts.append((rois - mean) / (var + norm.eps).sqrt())
        x = torch.cat(parts) * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    return x.reshape(num_slices, -1, C)


@pytest.mark.parametrize('num_slices', [1, 2])
@pytest.mark.parametrize('size', [4, 8, 28])
def test_equals_the_sums(num_slices, size):
    torch.manual_seed(0)
    layer = RoIVectorization(C, size).double()
    x = torch.randn(num_slices * BETA, C, size, size, dtype=torch.float64)
    out = layer(x, num_slices)
    assert out.shape == (num_slices, BETA, C)
    torch.testing.assert_close(out, by_hand(layer, x, num_slices), rtol=1e-8, atol=1e-8)


def test_slices_in_any_order():
    torch.manual_seed(0)
    layer = RoIVectorization(C, 8).eval()
    x = torch.randn(3, BETA, C, 8, 8)
    together = layer(x.flatten(0, 1), 3)
    for i in (2, 0, 1):
        torch.testing.assert_close(layer(x[i])[0], together[i], rtol=1e-5, atol=1e-5)


def test_names_and_shapes():
    shapes = {name: tuple(p.shape) for name, p in RoIVectorization().named_parameters()}
    expected = {f'convs.{i}.weight': (256, 256, k, k) for i, k in enumerate((2, 2, 7))}
    expected.update(
        {
            f'{name}.{i}.{what}': (256,)
            for i in range(3)
            for name, what in (('convs', 'bias'), ('norms', 'weight'), ('norms', 'bias'))
        }
    )
    assert shapes == expected
    assert [conv.stride for conv in RoIVectorization().convs] == [(2, 2), (2, 2), (1, 1)]


def test_bad_arguments():
    for size in (0, 2, 30, -4):
        with pytest.raises(ValueError, match=f'roi_size must be 1 or a positive multiple of 4 .*, not {size}'):
            RoIVectorization(C, size)
    with pytest.raises(ValueError, match='expected maps of 28 x 28, got \\(14, 14\\)'):
        RoIVectorization(C)(torch.zeros(BETA, C, 14, 14))


def test_pooled_features_have_one_layer():
    torch.manual_seed(0)
    layer = RoIVectorization(C, 1, norm_cfg=dict(type='GN', num_groups=1)).double()
    assert set(layer.state_dict()) == {'convs.0.weight', 'convs.0.bias', 'norms.0.weight', 'norms.0.bias'}
    x = torch.randn(2 * BETA, C, 1, 1, dtype=torch.float64)
    raw = (x.flatten(1) @ layer.convs[0].weight.flatten(1).t() + layer.convs[0].bias).clamp(min=0)
    expected = torch.nn.functional.layer_norm(raw, (C,)).view(2, BETA, C)
    for layer.fold in (True, False):
        torch.testing.assert_close(layer(x, 2), expected)
