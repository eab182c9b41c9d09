"""GreyResNet against MMDetection's ResNet on three equal channels, in both precisions and modes."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from mmaffinity.models import GreyResNet
from mmaffinity.models.fast.grey_resnet import halve_resolution, onednn_dtypes

SETTINGS = dict(
    depth=18, base_channels=8, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 2), norm_eval=False
)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def close(found, expected):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=TOLERANCE[expected.dtype])


def pair(dtype=torch.float64, options=None, training=False, **settings):
    """Both networks with the same random weights and running averages."""
    torch.manual_seed(0)
    settings = {**SETTINGS, **settings}
    reference, grey = ResNet(**settings).to(dtype), GreyResNet(**settings, **(options or {})).to(dtype)
    with torch.no_grad():
        for module in reference.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean):
                    tensor.add_(0.3 * torch.randn_like(tensor))
                module.running_var.uniform_(0.5, 2)
    grey.load_state_dict(reference.state_dict())
    assert list(grey.state_dict()) == list(reference.state_dict())
    for network in (reference, grey):
        network.train(training)  # returns nothing, in MMDetection
    return reference, grey


def slices(dtype=torch.float64, num=2, size=(64, 96)):
    return torch.randn(num, 1, *size, dtype=dtype, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('options', [dict(fold_norm=fold, channels_last=last) for fold in (0, 1) for last in (0, 1)])
@pytest.mark.parametrize('size', [(64, 64), (37, 50), (32, 35)])
def test_same_features_at_test(options, size, dtype):
    reference, grey = pair(dtype, options)
    x = slices(dtype, size=size)
    expected = reference(x.expand(-1, 3, -1, -1))
    for given in (x, x.expand(-1, 3, -1, -1)):
        found = grey(given)
        assert [y.shape for y in found] == [y.shape for y in expected]
        for a, b in zip(found, expected):
            close(a, b)
            assert a.is_contiguous(memory_format=torch.channels_last) or not options['channels_last']


@torch.no_grad()
def test_three_channels_without_options_equal_mmdetection_bitwise():
    reference, grey = pair(torch.float32, dict(fold_norm=False, channels_last=False))
    x = torch.randn(2, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(grey(x), reference(x)))


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('options', [dict(), dict(fold_norm=False)])
def test_gradients_equal_mmdetections(training, options):
    """Gradients of every weight, and the running averages, as with three equal channels."""
    reference, grey = pair(options=options, training=training)
    x = slices()
    gradients = []
    for network, given in ((reference, x.expand(-1, 3, -1, -1)), (grey, x)):
        outputs = network(given)
        generator = torch.Generator().manual_seed(2)
        sum((y * torch.randn(y.shape, dtype=y.dtype, generator=generator)).sum() for y in outputs).backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, expected in gradients[0].items():
        close(gradients[1][name], expected)
    for (name, found), expected in zip(grey.named_buffers(), reference.buffers()):
        torch.testing.assert_close(found, expected, msg=name)
    moved = any(p.abs().sum() for name, p in grey.named_buffers() if 'num_batches' in name)
    assert moved == training


@pytest.mark.parametrize('dtype', onednn_dtypes())
def test_max_pooling_by_onednn_equals_torchs(dtype):
    """Also where several pixels share the largest value: the gradient belongs to the same one."""
    grey = pair()[1]
    x = torch.randint(-2, 3, (2, 64, 33, 30)).to(dtype)
    given, reference = x.clone().requires_grad_(), x.clone().requires_grad_()
    pooled, expected = grey._max_pool(given), grey.maxpool(reference)
    assert 'Mkldnn' in type(pooled.grad_fn.next_functions[0][0]).__name__
    assert torch.equal(pooled, expected) and pooled.dtype == dtype
    weights = torch.randint(-8, 9, pooled.shape).to(dtype)  # small integers, whose sums are exact in any order
    pooled.backward(weights)
    expected.backward(weights)
    assert torch.equal(given.grad, reference.grad)


def test_nan_passes_max_pooling():
    x = torch.randn(1, 64, 16, 16)
    x[0, 3, 5, 5] = float('nan')
    pooled = pair()[1]._max_pool(x.requires_grad_())
    assert pooled[0, 3].isnan().sum() == pooled.isnan().sum() == 4  # the windows that contain the pixel


@torch.no_grad()
def test_follows_its_weights():
    reference, grey = pair()
    x = slices()
    for network in (reference, grey):
        network(x.expand(-1, 3, -1, -1))
        network.conv1.weight.data.mul_(2)
        network.layer2[0].bn1.running_var.add_(1)
        network.layer3[1].bn2.weight.data.neg_()
    for a, b in zip(grey(x), reference(x.expand(-1, 3, -1, -1))):
        close(a, b)


@torch.no_grad()
@pytest.mark.parametrize(
    'settings',
    [
        dict(depth=50),
        dict(deep_stem=True),
        dict(avg_down=True),
        dict(with_cp=True),
        dict(norm_cfg=dict(type='GN', num_groups=2)),
    ],
)
def test_other_kinds_of_resnet(settings):
    reference, grey = pair(**settings)
    x = slices()
    for a, b in zip(grey(x), reference(x.expand(-1, 3, -1, -1))):
        close(a, b)


def test_frozen_stages_and_registry():
    init_default_scope('mmdet')
    grey = MODELS.build(dict(type='GreyResNet', **{**SETTINGS, 'frozen_stages': 1}))
    grey.train()
    assert not grey.conv1.weight.requires_grad and not grey.layer1[0].conv1.weight.requires_grad
    grey(slices(torch.float32))[-1].sum().backward()
    assert grey.conv1.weight.grad is None and grey.layer2[0].conv1.weight.grad is not None


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(8, 8), (9, 8), (8, 9), (11, 7)])
def test_halved_resolution(size):
    x, weight = torch.randn(2, 1, *size, dtype=torch.float64), torch.randn(3, 1, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(F.conv2d(*halve_resolution(x, weight)), F.conv2d(x, weight, stride=2, padding=3))
