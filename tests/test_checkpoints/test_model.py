"""Models from a config and a checkpoint, and mismatches between the two."""

import torch

from mmaffinity.checkpoints import explain_mismatch


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
