"""The coder against explicit formulas, and against its base class, from which it differs only by rounding."""

import math

import pytest
import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder

from mmaffinity.models import WeightedBoxCoder


@pytest.fixture
def boxes():
    torch.manual_seed(0)
    corner = torch.rand(50, 2) * 300
    return torch.cat([corner, corner + 10 + torch.rand(50, 2) * 100], 1)


@pytest.fixture
def deltas():
    torch.manual_seed(1)
    return torch.randn(50, 4) * 3


def test_decoding_divides(boxes, deltas):
    coder = WeightedBoxCoder(wh_ratio_clip=16 / 1000)
    decoded = coder.decode(boxes, deltas, max_shape=(400, 400))
    for box, delta, result in zip(boxes.tolist(), deltas.tolist(), decoded.tolist(), strict=True):
        (x1, y1, x2, y2), (dx, dy, dw, dh) = box, delta
        cx, cy = (x1 + x2) / 2 + dx / 10 * (x2 - x1), (y1 + y2) / 2 + dy / 10 * (y2 - y1)
        w = (x2 - x1) * math.exp(min(dw / 5, math.log(1000 / 16)))
        h = (y2 - y1) * math.exp(min(dh / 5, math.log(1000 / 16)))
        expected = [min(max(value, 0), 400) for value in (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)]
        assert result == pytest.approx(expected, abs=1e-3)


def test_result_equals_the_base_class_up_to_rounding(boxes, deltas):
    coder, base = WeightedBoxCoder(), DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2))
    assert torch.allclose(coder.decode(boxes, deltas), base.decode(boxes, deltas), atol=1e-3)
    assert torch.allclose(coder.encode(boxes, boxes.flip(0)), base.encode(boxes, boxes.flip(0)), atol=1e-4)
    assert not torch.equal(coder.decode(boxes, deltas * 10), base.decode(boxes, deltas * 10))


def test_encoding_is_undone_by_decoding(boxes):
    coder = WeightedBoxCoder(weights=(1, 2, 3, 4))
    assert torch.allclose(coder.decode(boxes, coder.encode(boxes, boxes.flip(0))), boxes.flip(0), atol=1e-3)


def test_several_classes_at_once(boxes, deltas):
    coder = WeightedBoxCoder()
    both = coder.decode(boxes, torch.cat([deltas, -deltas], 1))
    assert torch.equal(both, torch.cat([coder.decode(boxes, deltas), coder.decode(boxes, -deltas)], 1))


@pytest.mark.parametrize('weights', [(10, 10, 5), (10, 10, 5, 0), (10, 10, 5, -1)])
def test_invalid_weights(weights):
    with pytest.raises(ValueError, match='four positive numbers'):
        WeightedBoxCoder(weights)
