"""COVID-CT-Mask-Net: what it trains, and what it starts from."""

import copy

import pytest
import torch
from baseline_helpers import baseline, detection_spread, parameters, step
from mmengine.runner.checkpoint import load_state_dict
from model_helpers import batch, lesion_sample, slice_sample
from torch import nn


def test_covid_ct_mask_net_trains_classifier_and_affine_weights_only(repo_root):
    model, _ = baseline(repo_root, 'covid_ct_mask_net')
    detection_spread(model)
    model.roi_head.copy_branch()
    norms = {
        f'{name}.{key}'
        for name, module in model.backbone.named_modules(prefix='backbone')
        if isinstance(module, nn.BatchNorm2d)
        for key in ('weight', 'bias')
    }
    changed, _ = step(model, batch(slice_sample()))
    assert norms and changed == norms | parameters(model, 'roi_head.cls_head.')
    with pytest.raises(ValueError, match='no segmentation stage'):
        step(model, batch(lesion_sample()))


def test_covid_ct_mask_net_starts_from_a_mask_rcnn(repo_root):
    source = baseline(repo_root, 'mask_rcnn_full', seed=1)[0].state_dict()
    model, config = baseline(repo_root, 'covid_ct_mask_net', seed=2)
    classifier = copy.deepcopy(model.roi_head.cls_head.state_dict())
    assert config.default_hooks.checkpoint_guard.new_layers == ['roi_head.cls_head', 'roi_head.classification_branch']
    load_state_dict(model, source)  # as the runner loads
    for name, value in model.state_dict().items():
        if name.startswith('roi_head.cls_head.'):
            assert torch.equal(value, classifier[name.removeprefix('roi_head.cls_head.')])
        else:
            assert torch.equal(value, source[name.replace('classification_branch.', '')]), name
