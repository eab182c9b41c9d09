"""Models from a config and a checkpoint, and mismatches between the two."""

import pytest
import torch
from mmengine.config import Config

from mmaffinity.checkpoints import build_model, explain_mismatch
from mmaffinity.checkpoints.model import other_config


def test_explain_mismatch():
    name = 'roi_head.cls_head.affinity.matrix'
    model = {name: torch.zeros(8, 16), 'backbone.w': torch.zeros(2), 'head.b': torch.zeros(3)}
    assert explain_mismatch(model, dict(model)) is None
    assert (
        explain_mismatch(model, {**model, name: torch.zeros(8, 32)})
        == 'C* (num_affinities) is 32 in the checkpoint and 16 in the config'
    )
    assert 'backbone.w has shape (5,)' in explain_mismatch(model, {**model, 'backbone.w': torch.zeros(5)})
    assert 'the checkpoint lacks backbone.w' in explain_mismatch(model, {name: model[name], 'head.b': model['head.b']})
    assert 'the checkpoint contains extra.w' in explain_mismatch(model, {**model, 'extra.w': torch.zeros(1)})
    assert explain_mismatch(model, {k: v for k, v in model.items() if k != 'head.b'}, new_layers=['head']) is None
    assert explain_mismatch(model, {**model, 'head.b': torch.zeros(9)}, new_layers=['head']) is None


def test_the_config_of_a_checkpoint_is_named_if_it_is_another():
    content = dict(meta=dict(experiment_name='affinity_c8_steady_phantom_20260102_030405'))
    assert other_config(content, 'configs/affinity_c8.py') == (
        '. It was trained with the config affinity_c8_steady_phantom: give that one'
    )
    assert other_config(content, 'configs/affinity_c8_steady_phantom.py') == ''
    for unknown in (dict(), dict(meta=None), dict(meta=dict(experiment_name=3)), dict(meta=dict(experiment_name='my run'))):
        assert other_config(unknown, None) == ''


def test_a_model_of_another_config_is_refused_with_the_name_of_its_config(repo_root):
    config = Config.fromfile(repo_root / 'configs/affinity_c8.py')
    content = dict(state_dict=dict(x=torch.zeros(1)), meta=dict(experiment_name='affinity_c16_20260102_030405'))
    with pytest.raises(ValueError, match='trained with the config affinity_c16: give that one$'):
        build_model(config, 'epoch_1.pth', content)
