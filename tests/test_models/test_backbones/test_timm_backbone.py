"""timm models as backbones; timm itself is not needed."""

import copy
import sys
from types import ModuleType

import pytest
from baseline_helpers import parameters, step
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from model_helpers import batch, slice_sample
from torch import nn


class PooledModel(nn.Module):
    """Stand-in for a timm model with num_classes=0, which pools its features."""

    def __init__(self):
        super().__init__()
        self.num_features = 5
        self.conv = nn.Conv2d(3, 5, 3)

    def init_weights(self, mode=''):
        raise AssertionError('this would undo pretrained weights')

    def forward(self, x):
        return self.conv(x).mean((2, 3))


def test_timm_model_is_a_backbone(monkeypatch):
    calls = []
    timm = ModuleType('timm')
    timm.create_model = lambda name, **kwargs: calls.append((name, kwargs)) or PooledModel()
    monkeypatch.setitem(sys.modules, 'timm', timm)
    init_default_scope('mmdet')
    config = dict(
        type='SliceClassifier',
        data_preprocessor=dict(type='SliceDataPreprocessor', mean=0.4, std=0.25),
        backbone=dict(
            type='TimmBackbone', model_name='resnet26d', init_cfg=dict(type='Pretrained', checkpoint='timm'), drop_rate=0.1
        ),
        cls_head=dict(num_classes=3),
    )
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    assert calls == [('resnet26d', dict(pretrained=True, num_classes=0, drop_rate=0.1))]
    assert model.cls_head.classifier[0].in_features == 5
    changed, _ = step(model, batch(slice_sample()))
    assert changed == parameters(model)
    config['backbone']['init_cfg'] = None  # as when a checkpoint is tested: nothing is downloaded
    MODELS.build(copy.deepcopy(config))
    assert calls[-1][1]['pretrained'] is False
    config['cls_head']['pool_size'] = 7
    wrong = MODELS.build(copy.deepcopy(config))
    with pytest.raises(ValueError, match='pool_size is 7'):
        wrong.test_step(batch(slice_sample()))


def test_without_timm_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ValueError, match=r'mmaffinity\[timm\]'):
        MODELS.build(dict(type='TimmBackbone', model_name='resnet26d'))


def test_mismatched_torchvision_build_is_reported(tmp_path, monkeypatch):
    """torch rejects its operators with a RuntimeError during timm's import."""
    monkeypatch.delitem(sys.modules, 'timm', raising=False)
    (tmp_path / 'timm.py').write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r'torchvision::nms does not exist.*torchvision build for your torch'):
        MODELS.build(dict(type='TimmBackbone', model_name='vgg11'))
