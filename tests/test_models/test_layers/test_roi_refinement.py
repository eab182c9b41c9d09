"""RoIRefinement against sums over the four pixels of each 2x2 block."""

import pytest
import torch

from mmaffinity.models.layers import RoIRefinement

BETA, C, MID, S = 3, 4, 6, 8


def stage_by_hand(stage, x, num_slices):
    """A 2x2 stride-2 convolution is a matrix on 2x2 blocks; its transpose goes back."""
    blocks = x.reshape(len(x), C, S // 2, 2, S // 2, 2)
    down = torch.einsum('rcyixj,dcij->rdyx', blocks, stage.conv_down.weight) + stage.conv_down.bias.view(1, -1, 1, 1)
    parts = []
    for rois in down.chunk(num_slices):
        var, mean = torch.var_mean(rois, dim=(0, 2, 3), correction=0, keepdim=True)
        parts.append((rois - mean) / (var + stage.norm.eps).sqrt())
    hidden = torch.cat(parts) * stage.norm.weight.view(1, -1, 1, 1) + stage.norm.bias.view(1, -1, 1, 1)
    hidden = torch.where(hidden > 0, hidden, torch.zeros_like(hidden))
    up = torch.einsum('rdyx,dcij->rcyixj', hidden, stage.conv_up.weight).reshape(x.shape)
    return up + stage.conv_up.bias.view(1, -1, 1, 1)


@pytest.mark.parametrize('num_slices', [1, 2])
@pytest.mark.parametrize('num_stages, shared', [(3, False), (9, True)])
def test_equals_the_sums(num_slices, num_stages, shared):
    torch.manual_seed(0)
    layer = RoIRefinement(C, MID, num_stages, shared).double()
    x = torch.randn(num_slices * BETA, C, S, S, dtype=torch.float64)
    expected = x
    for i in range(num_stages):
        expected = stage_by_hand(layer.stages[0 if shared else i], expected, num_slices)
    torch.testing.assert_close(layer(x, num_slices), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(layer.float()(x.float(), num_slices), expected.float(), rtol=1e-3, atol=1e-3)


def test_paper_has_three_distinct_stages_and_the_published_code_one():
    def names(**kwargs):
        return {name: tuple(p.shape) for name, p in RoIRefinement(**kwargs).named_parameters()}

    one = {
        'conv_down.weight': (128, 256, 2, 2),
        'conv_down.bias': (128,),
        'norm.weight': (128,),
        'norm.bias': (128,),
        'conv_up.weight': (128, 256, 2, 2),
        'conv_up.bias': (256,),
    }
    assert names() == {f'stages.{i}.{name}': shape for i in range(3) for name, shape in one.items()}
    assert names(num_stages=9, shared=True) == {f'stages.0.{name}': shape for name, shape in one.items()}


def test_input_is_not_modified():
    x = torch.randn(BETA, C, S, S)
    before = x.clone()
    RoIRefinement(C, MID)(x)
    assert torch.equal(x, before)


def test_norm_config_is_passed_to_the_norms():
    layer = RoIRefinement(C, MID, norm_cfg=dict(type='SliceBN', statistics='running'))
    assert [stage.norm.statistics for stage in layer.stages] == ['running'] * 3


def test_bad_arguments():
    with pytest.raises(ValueError, match='num_stages of the RoI refinement must be at least 1, not 0'):
        RoIRefinement(C, MID, num_stages=0)
    with pytest.raises(ValueError, match='statistics'):
        RoIRefinement(C, MID, norm_cfg=dict(type='SliceBN', statistics='global'))
