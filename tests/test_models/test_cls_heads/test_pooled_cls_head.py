"""The head of a plain slice classifier: pooling, dropout and predictions."""

import pytest
import torch
from mmdet.registry import MODELS
from model_helpers import slice_sample

from mmaffinity.models import PooledClsHead


def test_head_arguments_are_checked():
    for wrong in (dict(in_channels=None), dict(in_channels=4, pool_size=0), dict(in_channels=4, dropout=1.0)):
        with pytest.raises(ValueError):
            MODELS.build(dict(type='PooledClsHead', **wrong))


def test_features_are_averaged_and_classified():
    torch.manual_seed(0)
    head = PooledClsHead(num_classes=2, in_channels=3)
    head.init_weights()
    x = torch.rand(4, 3, 5, 6)
    layer = head.classifier[0]
    expected = [[sum(w * plane.mean().item() for w, plane in zip(row, maps)) for row in layer.weight.tolist()] for maps in x]
    torch.testing.assert_close(head(x), torch.tensor(expected))
    torch.testing.assert_close(head(x.mean((2, 3))), head(x))  # as from a backbone that pools its features


def test_a_coarse_map_keeps_the_place_of_features():
    torch.manual_seed(0)
    head = PooledClsHead(num_classes=2, in_channels=3, pool_size=2, fc_channels=(7,)).eval()
    x = torch.rand(1, 3, 4, 4)
    quarters = [
        x[0, channel, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for channel in range(3) for i in range(2) for j in range(2)
    ]
    hidden = head.classifier[0](torch.stack(quarters)).clamp(min=0)
    torch.testing.assert_close(head(x)[0], head.classifier[2](hidden))
    assert not torch.allclose(head(x.flip(3)), head(x))
    with pytest.raises(ValueError, match='pool_size is 2, but the backbone already pools'):
        head(torch.rand(1, 3))


def test_dropout_after_hidden_layers_in_training_only():
    torch.manual_seed(0)
    head = PooledClsHead(num_classes=2, in_channels=3, fc_channels=(64,), dropout=0.5).train()
    x = torch.rand(2, 3)
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))
    plain = PooledClsHead(num_classes=2, in_channels=3, dropout=0.5).train()  # without hidden layers, nothing is dropped
    assert torch.equal(plain(x), plain(x))


def test_predictions_and_loss_are_those_of_the_logits():
    torch.manual_seed(0)
    head = PooledClsHead(num_classes=3, in_channels=4)
    x = torch.randn(2, 4)
    logits = head(x)
    for prediction, row in zip(head.predict(x), logits):
        assert prediction.label.tolist() == [max(range(3), key=row.tolist().__getitem__)]
        torch.testing.assert_close(prediction.score, 1 / (1 + torch.exp(-row)))
        assert torch.equal(prediction.logits, row)
    losses = head.loss(x, [slice_sample(0), slice_sample(2)])
    truth = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    expected = -(truth * logits.sigmoid().log() + (1 - truth) * (1 - logits.sigmoid()).log()).mean()
    torch.testing.assert_close(losses['loss_slice'], expected)
