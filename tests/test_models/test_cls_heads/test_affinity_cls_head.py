"""The affinity head against its equations, its predictions and errors."""

import math

import pytest
import torch
from model_helpers import slice_sample
from torch import nn

from mmaffinity.models import AffinityClsHead
from mmaffinity.structures import RankedRoIs

C, MID, BETA, STARS, K = 6, 4, 5, 3, 3


def head(**kwargs):
    torch.manual_seed(0)
    kwargs = {
        **dict(
            num_classes=K,
            num_rois=BETA,
            num_affinities=STARS,
            in_channels=C,
            roi_size=8,
            refinement=dict(mid_channels=MID),
            fc_channels=(7, 7),
        ),
        **kwargs,
    }
    built = AffinityClsHead(**kwargs)
    built.init_weights()
    return built


def rois(num=2, dtype=torch.float32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(num, BETA, generator=generator, dtype=dtype).sort(1, descending=True).values
    return RankedRoIs(
        boxes=torch.rand(num, BETA, 4, generator=generator, dtype=dtype),
        scores=scores,
        deltas=torch.rand(num, BETA, 4, generator=generator, dtype=dtype),
        mask_features=torch.rand(num, BETA, C, 8, 8, generator=generator, dtype=dtype),
    )


def take(ranked, i):
    return RankedRoIs(
        ranked.boxes[i : i + 1], ranked.scores[i : i + 1], ranked.deltas[i : i + 1], ranked.mask_features[i : i + 1]
    )


def test_pooled_features_need_no_refinement():
    cls_head = head(roi_size=1, refinement=False, norm_cfg=dict(type='BN')).eval()
    ranked = rois()
    ranked.mask_features = ranked.mask_features.mean((3, 4), True)
    out = cls_head(ranked)
    torch.testing.assert_close(out['roi_features'], cls_head.vectorization(ranked.mask_features.flatten(0, 1), 2))
    torch.testing.assert_close(out['features'], torch.einsum('nkc,nk->nc', out['roi_features'], out['roi_weights']))
    with pytest.raises(ValueError, match='set refinement=False'):
        head(roi_size=1)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('weighted', [False, True])
def test_the_whole_slice_adds_a_vector_of_its_own(training, weighted):
    pooled = dict(roi_size=1, refinement=False, norm_cfg=dict(type='BN'))
    cls_head = head(slice_roi=True, **pooled).train(training)
    ranked = rois()
    candidates = ranked.mask_features.mean((3, 4), True)
    whole = torch.rand(2, 1, C, 1, 1, generator=torch.Generator().manual_seed(2))
    if weighted:
        ranked.rank_weights = torch.rand(2, BETA, BETA, generator=torch.Generator().manual_seed(3))
    ranked.mask_features = torch.cat([candidates, whole], 1)
    out = cls_head(ranked)
    assert out['roi_features'].shape == (2, BETA + 1, C) and out['roi_weights'].shape == (2, BETA + 1)
    torch.testing.assert_close(out['features'], torch.einsum('nkc,nk->nc', out['roi_features'], out['roi_weights']))
    torch.testing.assert_close(out['roi_features'][:, -1:], cls_head.slice_vectorization(whole[:, 0], 2))
    assert torch.equal(out['roi_weights'][:, -1], torch.full((2,), float(BETA)))
    # Without the slice, the same head gives the same X and Y, and z without the slice's vector.
    plain = head(**pooled).train(training)
    plain.load_state_dict({name: value for name, value in cls_head.state_dict().items() if 'slice_' not in name})
    ranked.mask_features = candidates
    rest = plain(ranked)
    torch.testing.assert_close(out['roi_features'][:, :-1], rest['roi_features'])
    torch.testing.assert_close(out['affinity'], rest['affinity'])
    torch.testing.assert_close(out['features'] - BETA * out['roi_features'][:, -1], rest['features'])


@pytest.mark.parametrize('training', [True, False])
def test_follows_the_equations(training):
    cls_head = head().double().train(training)
    ranked = rois(dtype=torch.float64)
    out = cls_head(ranked)
    w, v = cls_head.affinity.matrix, cls_head.affinity.vector
    for n in range(2):
        x = cls_head.vectorization(cls_head.refinement(ranked.mask_features[n], 1), 1)[0]
        torch.testing.assert_close(out['roi_features'][n], x)
        y = w.t() @ x
        z = y.t() @ v
        torch.testing.assert_close(out['affinity'][n], y)
        torch.testing.assert_close(out['features'][n], z)
        torch.testing.assert_close(out['roi_weights'][n], w @ v)
        torch.testing.assert_close(x.t() @ out['roi_weights'][n], z)  # explains the class by its RoIs
        first, second, last = cls_head.classifier[::2]
        hidden = (first.weight @ z + first.bias).clamp(min=0)
        hidden = (second.weight @ hidden + second.bias).clamp(min=0)
        torch.testing.assert_close(out['logits'][n], last.weight @ hidden + last.bias)
    shapes = {name: tuple(value.shape) for name, value in out.items()}
    assert shapes == dict(
        logits=(2, K), roi_features=(2, BETA, C), affinity=(2, STARS, C), features=(2, C), roi_weights=(2, BETA)
    )


@pytest.mark.parametrize('training', [True, False])
def test_batch_equals_individual_slices(training):
    cls_head = head().train(training)
    ranked = rois(3)
    together = cls_head(ranked)
    for i in (2, 0, 1):
        alone = cls_head(take(ranked, i))
        for name, value in alone.items():
            torch.testing.assert_close(value[0], together[name][i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('training', [True, False])
def test_weighted_candidates_are_distributed_over_ranks(training):
    cls_head = head(norm_cfg=dict(type='GN', num_groups=2)).double().train(training)
    ranked = rois(2, torch.float64)
    candidates, rank_weights = 3, torch.rand(2, 3, BETA, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weighted = RankedRoIs(
        *(value[:, :candidates] for value in (ranked.boxes, ranked.scores, ranked.deltas, ranked.mask_features)), rank_weights
    )
    out = cls_head(weighted)
    w, v = cls_head.affinity.matrix, cls_head.affinity.vector
    for n in range(2):
        x = cls_head.vectorization(cls_head.refinement(ranked.mask_features[n, :candidates]))[0]
        torch.testing.assert_close(out['roi_features'][n], x)
        of_rank = [sum(rank_weights[n, i, k] * x[i] for i in range(candidates)) for k in range(BETA)]
        torch.testing.assert_close(out['affinity'][n], w.t() @ torch.stack(of_rank))
        z = sum((w @ v)[k] * of_rank[k] for k in range(BETA))
        torch.testing.assert_close(out['features'][n], z)
        torch.testing.assert_close(x.t() @ out['roi_weights'][n], z)
    # The RoIs of the paper's form have one rank each.
    plain = cls_head(ranked)
    ranked.rank_weights = torch.eye(BETA, dtype=torch.float64).expand(2, -1, -1)
    for name, value in cls_head(ranked).items():
        torch.testing.assert_close(value, plain[name])


def test_without_weights_the_bias_determines_the_logits():
    cls_head, ranked = head(norm_cfg=dict(type='GN', num_groups=2)).eval(), rois(2)
    ranked.rank_weights = torch.zeros(2, BETA, BETA)
    logits = cls_head(ranked)['logits']
    torch.testing.assert_close(logits, cls_head.classifier(torch.zeros(2, C)))


def test_logits_depend_on_the_order_of_the_rois():
    cls_head, ranked = head().eval(), rois(1)
    swapped = RankedRoIs(ranked.boxes, ranked.scores, ranked.deltas, ranked.mask_features.flip(1))
    assert not torch.allclose(cls_head(ranked)['logits'], cls_head(swapped)['logits'], rtol=1e-3)


def test_prediction_is_complete():
    cls_head, ranked = head().eval(), rois(2)
    outputs, predictions = cls_head(ranked), cls_head.predict(ranked)
    assert len(predictions) == 2
    for i, prediction in enumerate(predictions):
        assert set(prediction.keys()) == {
            'label',
            'score',
            'logits',
            'roi_boxes',
            'roi_scores',
            'roi_weights',
            'roi_features',
            'affinity',
            'features',
        }
        assert prediction.label.dtype == torch.long and prediction.label.shape == (1,)
        assert torch.equal(prediction.logits, outputs['logits'][i])
        torch.testing.assert_close(prediction.score, 1 / (1 + torch.exp(-prediction.logits)))
        assert torch.equal(prediction.roi_boxes, ranked.boxes[i])
        assert torch.equal(prediction.roi_scores, ranked.scores[i])


def test_initialisation():
    cls_head = head(in_channels=64, refinement=dict(mid_channels=32), fc_channels=(128, 128))
    modules = [m for m in cls_head.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    assert len(modules) == 3 * 2 + 3 + 3
    for module in modules:
        assert (module.bias == 0.01).all()
        # Kaiming normal, fan out: sqrt(2 / (rows x kernel)); a transposed convolution has its rows first as well.
        expected = math.sqrt(2 / (module.weight.shape[0] * module.weight[0, 0].numel()))
        assert module.weight.std().item() == pytest.approx(expected, rel=0.15)
        assert abs(module.weight.mean().item()) < 0.1 * expected + 3 * expected / math.sqrt(module.weight.numel())
    for norm in (m for m in cls_head.modules() if isinstance(m, nn.BatchNorm2d)):
        assert (norm.weight == 1).all() and (norm.bias == 0).all()
    normal = head(num_rois=60, num_affinities=60).affinity.matrix
    assert normal.std().item() == pytest.approx(1, abs=0.05) and abs(normal.mean().item()) < 0.05


@pytest.mark.parametrize('stars', [8, 16, 32, 64, 128])
def test_number_of_affinities(stars):
    cls_head = head(num_affinities=stars)
    assert cls_head.affinity.matrix.shape == (BETA, stars)
    assert cls_head(rois(1))['affinity'].shape == (1, stars, C)


def test_options_are_passed_to_the_layers():
    refinement, running = dict(mid_channels=MID, num_stages=9, shared=True), dict(type='SliceBN', statistics='running')
    cls_head = head(refinement=refinement, norm_cfg=running)
    assert len(cls_head.refinement.stages) == 1 and cls_head.refinement.repeats == 9
    norms = [m for m in cls_head.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 4 and {norm.statistics for norm in norms} == {'running'}
    norms = [m for m in head(norm_cfg=dict(type='GN', num_groups=2)).modules() if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 6 and head(norm_cfg=dict(type='GN', num_groups=2), num_rois=1).num_rois == 1
    defaults = AffinityClsHead()
    assert (defaults.num_rois, defaults.num_affinities, defaults.class_reduction) == (8, 8, 'mean')
    assert [tuple(layer.weight.shape) for layer in defaults.classifier[::2]] == [(128, 256), (128, 128), (3, 128)]


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_rois=1), 'num_rois of AffinityClsHead must be at least 2, not 1'),
        (dict(num_affinities=0), 'must be at least 1'),
        (dict(norm_cfg=dict(type='SliceBN', statistics='batch')), "not 'batch'"),
        (dict(norm_cfg=dict(type='SliceBN'), num_rois=1), 'num_rois of AffinityClsHead must be at least 2, not 1'),
        (dict(slice_roi=True), 'slice_roi=True needs refinement=False'),
        (dict(slice_roi=True, refinement=False, roi_size=1), "slice_roi=True needs .* norm_cfg=dict\\(type='BN'\\)"),
        (dict(roi_size=30), 'multiple of 4'),
        (dict(refinement=dict(num_stages=0)), 'num_stages'),
        (dict(norm_cfg=dict(type='LN')), "of type 'SliceBN', 'BN' or 'GN', not 'LN'"),
        (dict(norm_cfg=dict(type='GN', num_groups=4)), 'num_groups=4 .* does not divide its 6 channels'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        head(**kwargs)


def test_bad_input():
    few = rois(1)
    few.mask_features = few.mask_features[:, :4]
    with pytest.raises(ValueError, match='AffinityClsHead with slice_roi=False reads 5 RoIs per slice, not 4: store RoIs'):
        head()(few)
    for changed in (lambda features: features[:, :, :, ::2, ::2], lambda features: features[:, :, :4]):
        other = rois(1)
        other.mask_features = changed(other.mask_features)
        with pytest.raises(ValueError, match='set in_channels and roi_size of the cls_head'):
            head()(other)
    pooled = dict(roi_size=1, refinement=False, norm_cfg=dict(type='BN'))
    without = rois(2)
    without.mask_features = without.mask_features.mean((3, 4), True)
    without.rank_weights = torch.rand(2, BETA, BETA)
    with pytest.raises(ValueError, match='slice_roi=True reads 6 RoIs per slice, not 5'):
        head(slice_roi=True, **pooled)(without)


def test_the_whole_slice_of_a_batch_of_one_trains():
    """The last batch of an epoch; its one vector per channel has no variance."""
    cls_head = head(slice_roi=True, roi_size=1, refinement=False, norm_cfg=dict(type='BN')).train()
    ranked = rois(1)
    features = ranked.mask_features.mean((3, 4), True)
    ranked.mask_features = torch.cat([features, features[:, :1]], 1)
    loss = cls_head.loss(ranked, [slice_sample(1)])['loss_slice']
    loss.backward()
    assert loss.isfinite() and cls_head.slice_weight.grad.abs() > 0
