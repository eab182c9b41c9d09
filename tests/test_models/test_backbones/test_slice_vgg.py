"""VGG as a backbone: the names of its weights, its outputs and its initialisation."""

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmaffinity.models import SliceVGG


def test_vgg_parameter_names_match_common_checkpoints():
    model = MODELS.build(dict(type='SliceVGG', depth=16))
    weights = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert weights['features.0.weight'] == (64, 3, 3, 3) and weights['features.28.weight'] == (512, 512, 3, 3)
    assert len(weights) == 26
    with pytest.raises(ValueError, match='depth of'):
        MODELS.build(dict(type='SliceVGG', depth=17))


@torch.no_grad()
def test_outputs_are_those_of_the_chosen_stages():
    """Each stage of VGG-11 ends in a max pooling, which halves the sides."""
    torch.manual_seed(0)
    x = torch.rand(1, 3, 64, 96)
    vgg = SliceVGG(depth=11)
    (last,) = vgg(x)
    assert last.shape == (1, 512, 2, 3)
    several = SliceVGG(depth=11, out_indices=(1, 4))
    several.load_state_dict(vgg.state_dict())
    early, late = several(x)
    assert early.shape == (1, 128, 16, 24) and torch.equal(late, last)
    expected = x
    for layer in vgg.features:
        expected = layer(expected)
    torch.testing.assert_close(last, expected)


def test_init_cfg_of_a_config_replaces_the_default():
    vgg = SliceVGG(depth=11, with_bn=True)
    vgg.init_weights()
    convolutions = [module for module in vgg.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 8 and all(not conv.bias.any() and conv.weight.std() > 0 for conv in convolutions)
    constant = SliceVGG(depth=11, init_cfg=dict(type='Constant', val=0.25, layer='Conv2d'))
    constant.init_weights()
    assert all((module.weight == 0.25).all() for module in constant.modules() if isinstance(module, nn.Conv2d))
