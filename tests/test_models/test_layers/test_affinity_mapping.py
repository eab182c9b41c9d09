"""AffinityMapping against explicit sums (Eqs. 1 to 6) and closed forms of its gradients."""

import pytest
import torch

from mmaffinity.models.layers import AffinityMapping

N, BETA, STARS, C = 2, 8, 3, 5


@pytest.fixture
def mapping():
    torch.manual_seed(0)
    mapping = AffinityMapping(BETA, STARS).double()
    mapping.vector.data[1] = -1.3  # of both signs
    return mapping


@pytest.fixture
def roi_features():
    return torch.randn(N, BETA, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_equals_the_sums(mapping, roi_features):
    w, v, x = mapping.matrix.tolist(), mapping.vector.tolist(), roi_features.tolist()
    y = [[[sum(w[k][a] * x[n][k][c] for k in range(BETA)) for c in range(C)] for a in range(STARS)] for n in range(N)]
    z = [[sum(y[n][a][c] * v[a] for a in range(STARS)) for c in range(C)] for n in range(N)]
    out = mapping(roi_features)
    torch.testing.assert_close(out.affinity, torch.tensor(y, dtype=torch.float64))
    torch.testing.assert_close(out.features, torch.tensor(z, dtype=torch.float64))
    single = mapping.float()(roi_features.float())
    torch.testing.assert_close(single.features, torch.tensor(z), rtol=1e-5, atol=1e-5)


def test_roi_weights_explain_z(mapping, roi_features):
    w, v = mapping.matrix.tolist(), mapping.vector.tolist()
    weights = torch.tensor([sum(w[k][a] * v[a] for a in range(STARS)) for k in range(BETA)], dtype=torch.float64)
    torch.testing.assert_close(mapping.roi_weights, weights)
    # z = X^T (W v): the weighted sum of the RoI vectors.
    expected = torch.stack([sum(weights[k] * x[k] for k in range(BETA)) for x in roi_features])
    torch.testing.assert_close(mapping(roi_features).features, expected)


def test_gradients_have_their_closed_form(mapping, roi_features):
    roi_features.requires_grad_()
    g = torch.randn(N, C, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (mapping(roi_features).features * g).sum().backward()
    s = torch.stack([x @ h for x, h in zip(roi_features.detach(), g)]).sum(0)  # s_k = sum over n, c of X_kc g_c
    torch.testing.assert_close(mapping.matrix.grad, torch.outer(s, mapping.vector.detach()))
    torch.testing.assert_close(mapping.vector.grad, mapping.matrix.detach().t() @ s)
    expected = torch.stack([torch.outer(mapping.roi_weights.detach(), h) for h in g])
    torch.testing.assert_close(roi_features.grad, expected)


def test_standard_normal_start():
    torch.manual_seed(0)
    mapping = AffinityMapping(400, 500)
    assert abs(mapping.matrix.mean()) < 0.01 and abs(mapping.matrix.std() - 1) < 0.01
    assert abs(mapping.vector.mean()) < 0.15 and abs(mapping.vector.std() - 1) < 0.15
    before = mapping.matrix.clone()
    mapping.reset_parameters()
    assert not torch.equal(mapping.matrix, before)


def test_names_and_shapes(mapping):
    assert {name: tuple(p.shape) for name, p in mapping.named_parameters()} == {'matrix': (BETA, STARS), 'vector': (STARS,)}
    assert 'num_rois=8, num_affinities=3' in repr(mapping)


def test_bad_arguments(mapping):
    for args in ((0, 8), (8, 0), (-1, 8)):
        with pytest.raises(ValueError, match='must be at least 1'):
            AffinityMapping(*args)
    with pytest.raises(ValueError, match=r'expected RoI vectors of shape \(N, 8, C\), got \(2, 7, 5\)'):
        mapping(torch.zeros(2, 7, 5))
    with pytest.raises(ValueError, match='expected RoI vectors'):
        mapping(torch.zeros(8, 5))


@pytest.mark.parametrize('num_affinities', [1, 8, 64])
def test_unit_start(num_affinities):
    """W v = 1, with v and the affinities' differences of the paper's start: W moves along v only, the least that does it."""
    torch.manual_seed(0)
    paper = AffinityMapping(BETA, num_affinities)
    torch.manual_seed(0)
    unit = AffinityMapping(BETA, num_affinities, unit_roi_weights=True)
    torch.testing.assert_close(unit.roi_weights, torch.ones(BETA), rtol=0, atol=1e-5)
    assert torch.equal(unit.vector, paper.vector)
    change = unit.matrix - paper.matrix
    assert torch.linalg.matrix_rank(change) == 1
    torch.testing.assert_close(change.norm(), (1 - paper.roi_weights).norm() / paper.vector.norm())
    assert (paper.roi_weights - 1).abs().max() > 0.1
