"""The mask loss with overlap: its value, the class that it reads, and what it rewards."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS


def masks(num_classes=2):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, num_classes, 8, 8, generator=generator)
    target = (torch.rand(3, 8, 8, generator=generator) > 0.6).float()
    return logits, target, torch.tensor([0, 1, 0])


@pytest.mark.parametrize('weights', [{}, dict(loss_weight=2.0, dice_weight=0.25)])
def test_value(weights):
    logits, target, labels = masks()
    loss = MODELS.build(dict(type='MaskDiceLoss', **weights))(logits, target, labels)
    own = logits[[0, 1, 2], labels]
    p = own.sigmoid()
    dice = 1 - (2 * (p * target).sum((1, 2)) + 1) / (p.sum((1, 2)) + target.sum((1, 2)) + 1)
    expected = weights.get('loss_weight', 0.5) * F.binary_cross_entropy_with_logits(own, target)
    expected += weights.get('dice_weight', 1.0) * dice.mean()
    torch.testing.assert_close(loss, expected[None])


def test_only_the_class_of_a_roi_gets_a_gradient():
    logits, target, labels = masks()
    logits.requires_grad_()
    MODELS.build(dict(type='MaskDiceLoss'))(logits, target, labels).sum().backward()
    got = logits.grad.abs().sum((2, 3)) > 0
    assert torch.equal(got, F.one_hot(labels, 2).bool())


def test_small_and_large_masks_weigh_the_same():
    """A quarter of a mask missed costs the same Dice loss whatever the size of the mask, up to the constant 1."""
    loss = MODELS.build(dict(type='MaskDiceLoss', loss_weight=0.0))
    costs = []
    for side in (8, 16):
        target = torch.zeros(1, 32, 32)
        target[0, :side, :side] = 1
        logits = torch.full((1, 1, 32, 32), -30.0)
        logits[0, 0, : side * 3 // 4, :side] = 30.0
        costs.append(loss(logits, target, torch.tensor([0])).item())
    assert costs[0] == pytest.approx(costs[1], abs=0.005) and costs[0] == pytest.approx(1 / 7, abs=0.005)


def test_half_precision_sums_in_float32():
    logits, target, labels = masks()
    loss = MODELS.build(dict(type='MaskDiceLoss', loss_weight=0.0))
    torch.testing.assert_close(loss(logits.bfloat16(), target, labels), loss(logits.bfloat16().float(), target, labels))
