"""Training parts of a model in bfloat16, with float32 outside them."""

from types import SimpleNamespace

import pytest
import torch
from model_helpers import batch, build_model, lesion_sample
from torch import nn

from mmaffinity.engine import Bfloat16Hook, computes_bfloat16


class Parts(nn.Module):
    """Two layers that record the type they compute in."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.seen = []
        for layer in (self.first, self.second):
            layer.register_forward_hook(lambda layer, inputs, output: self.seen.append(torch.is_autocast_enabled('cpu')))

    def forward(self, x):
        return self.second(self.first(x))


def wrap(model, *parts):
    Bfloat16Hook(parts).before_train(SimpleNamespace(model=model))
    return model


def test_named_parts_compute_in_bfloat16_and_return_float32():
    torch.manual_seed(0)
    model, plain = Parts(), nn.Linear(8, 8)
    plain.load_state_dict(model.first.state_dict())
    wrap(model, 'first', 'absent')
    x = torch.randn(4, 8)
    inner = model.first(x)
    assert inner.dtype == torch.float32
    assert torch.equal(inner, inner.bfloat16().float())  # its values are those of bfloat16
    error = (inner - plain(x)).abs().max()
    assert 0 < error < 0.05
    model(x).sum().backward()
    assert all(parameter.grad.dtype == parameter.dtype == torch.float32 for parameter in model.parameters())
    assert set(model.state_dict()) == set(Parts().state_dict())


@pytest.mark.parametrize('evaluate', [True, False])
def test_evaluation_is_unaffected(evaluate):
    model = Parts()
    x = torch.randn(4, 8)
    expected = model(x)
    wrap(wrap(model, 'first', 'second'), 'first')
    if evaluate:
        model.eval()
        assert torch.equal(model(x), expected)
    else:
        with torch.no_grad():
            assert torch.equal(model(x), expected)


def test_the_losses_of_the_affinity_model_stay_close():
    model = build_model({'train_cfg.rcnn.sampler.num': 16}).train()
    model.set_stage('segmentation')
    data = model.data_preprocessor(batch(lesion_sample(), lesion_sample(), seed=3))
    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        losses.append(model.loss(data['inputs'], data['data_samples'])['loss_mask'])
        Bfloat16Hook().before_train(SimpleNamespace(model=model))
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=0.05) and losses[0] != losses[1]


@pytest.mark.parametrize('avx512, amx', [(False, False), (True, False), (False, True), (True, True)])
def test_either_instruction_set_computes_bfloat16(avx512, amx, monkeypatch):
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: avx512)
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: amx)
    assert computes_bfloat16() == (avx512 or amx)
