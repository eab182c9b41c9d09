"""Slice classifiers without lesions, with any backbone."""

import pytest
import torch
from baseline_helpers import baseline, buffers, parameters, step
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from model_helpers import batch, lesion_sample, slice_sample
from torch import nn

from mmaffinity.models.detectors.slice_classifier import output_channels


@pytest.mark.parametrize('name', ['resnet18_slice', 'vgg16_ictcf'])
def test_slice_classifiers_train_every_weight(repo_root, name):
    narrow = {'cls_head.fc_channels': (16, 16)} if name == 'vgg16_ictcf' else {}
    model, _ = baseline(repo_root, name, **narrow)
    changed, losses = step(model, batch(slice_sample(1), slice_sample(0)))
    assert changed == parameters(model) | buffers(model, 'backbone.')
    assert set(losses) >= {'loss_slice', 'slice_acc'}
    model.eval()
    one, two = model.test_step(batch(slice_sample(1), slice_sample(0)))
    classes = model.cls_head.num_classes
    assert one.pred_slice.score.shape == one.pred_slice.logits.shape == (classes,)
    torch.testing.assert_close(one.pred_slice.score, one.pred_slice.logits.sigmoid())
    with pytest.raises(ValueError, match='segmentation task'):
        step(model, batch(lesion_sample()))


def test_slice_classifier_accepts_any_backbone():
    init_default_scope('mmdet')
    preprocessor = dict(type='SliceDataPreprocessor', mean=0.4, std=0.25)
    for backbone, channels in (
        (dict(type='ResNet', depth=18, base_channels=8), 64),
        (dict(type='MobileNetV2', widen_factor=0.25), 1280),
        (dict(type='SliceVGG', depth=11), 512),
    ):
        model = MODELS.build(
            dict(type='SliceClassifier', data_preprocessor=preprocessor, backbone=backbone, cls_head=dict(num_classes=3))
        )
        assert model.cls_head.classifier[0].in_features == channels
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        assert all(int(module.num_batches_tracked) == 0 for module in norms)
        assert model.training


def test_channels_are_those_of_the_last_output():
    class Doubling(nn.Module):
        """A backbone whose last output has twice the channels of its first."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)

        def forward(self, x):
            x = self.norm(self.conv(x))
            return x, torch.cat([x, x], 1)

    backbone = Doubling().train()
    assert output_channels(backbone) == 10
    assert backbone.training and not backbone.norm.running_mean.any()  # not moved by the blank slice
    backbone.out_channels = 7  # as given by the backbone itself, which is not run
    assert output_channels(backbone) == 7
