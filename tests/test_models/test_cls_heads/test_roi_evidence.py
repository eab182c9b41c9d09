"""Attribution to RoIs: the exact part, and the gradient against finite differences."""

import pytest
import torch

from mmaffinity.models import AffinityClsHead
from mmaffinity.models.cls_heads import roi_evidence


def head():
    torch.manual_seed(0)
    built = (
        AffinityClsHead(
            num_classes=3,
            num_rois=5,
            num_affinities=4,
            in_channels=6,
            roi_size=8,
            refinement=dict(mid_channels=4),
            fc_channels=(7, 7),
        )
        .double()
        .eval()
    )
    built.init_weights()
    return built.double()


def test_contributions_and_rest_are_the_logits():
    model = head()
    features = torch.randn(5, 6, dtype=torch.float64)
    weights = model.affinity.roi_weights.detach()
    found = roi_evidence(model, features, weights)
    z = model.affinity(features[None]).features
    torch.testing.assert_close(found.logits, model.classifier(z)[0].detach())
    torch.testing.assert_close(found.contributions.sum(0) + found.rest, found.logits)
    assert found.contributions.shape == (5, 3) and not found.contributions.requires_grad
    # Within the linear piece, scaling RoI k by 1 + t adds t times its contribution.
    for k in range(5):
        scaled = features.clone()
        scaled[k] *= 1 + 1e-6
        moved = model.classifier(model.affinity(scaled[None]).features)[0].detach() - found.logits
        torch.testing.assert_close(moved / 1e-6, found.contributions[k], rtol=1e-5, atol=1e-7)
    # If no ReLU is inactive, this is exact for any change of every logit.
    with torch.no_grad():
        for layer in (model.classifier[0], model.classifier[2]):
            layer.bias.fill_(1e4)
    wide = roi_evidence(model, features, weights)
    without = features.clone()
    without[2] = 0
    dropped = model.classifier(model.affinity(without[None]).features)[0].detach()
    torch.testing.assert_close(wide.logits - dropped, wide.contributions[2], rtol=1e-6, atol=1e-6)


def test_shares():
    model = head()
    found = roi_evidence(model, torch.randn(5, 6, dtype=torch.float64), torch.randn(5, dtype=torch.float64))
    torch.testing.assert_close(found.shares.abs().sum(0), torch.ones(3, dtype=torch.float64))
    assert (found.shares.sign() == found.contributions.sign()).all()
    none = roi_evidence(model, torch.zeros(5, 6, dtype=torch.float64), torch.ones(5, dtype=torch.float64))
    assert (none.shares == 0).all()
    with torch.no_grad():  # as at test time, when gradients are off
        roi_evidence(model, torch.zeros(5, 6, dtype=torch.float64), torch.ones(5, dtype=torch.float64))


def test_wrong_shapes():
    with pytest.raises(ValueError, match='beta'):
        roi_evidence(head(), torch.zeros(5, 6), torch.zeros(4))
