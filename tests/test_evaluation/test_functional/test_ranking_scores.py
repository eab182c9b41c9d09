"""ROC AUC and average precision of resamples against scikit-learn, one resample at a time."""

import sys

import numpy as np
import pytest

from mmaffinity.evaluation.functional.bootstrap import Resampler
from mmaffinity.evaluation.functional.ranking_scores import ranking_scores, resampled_ranking_scores, roc_curve

metrics = pytest.importorskip('sklearn.metrics')


@pytest.mark.parametrize('decimals', [1, 8])  # with and without ties
def test_resamples_against_scikit_learn(decimals):
    random = np.random.default_rng(0)
    scores, positive = random.random(60).round(decimals), random.random(60) < 0.4
    resampler = Resampler.of([str(index // 4) for index in range(60)], num_resamples=30)
    areas, precisions = resampled_ranking_scores(scores, positive, resampler)
    for weights, area, precision in zip(resampler.weights, areas, precisions):
        drawn = weights[resampler.unit_of]
        assert area == pytest.approx(metrics.roc_auc_score(positive, scores, sample_weight=drawn))
        assert precision == pytest.approx(metrics.average_precision_score(positive, scores, sample_weight=drawn))
    value, precision = ranking_scores(scores, positive)
    assert value == pytest.approx(metrics.roc_auc_score(positive, scores))
    assert precision == pytest.approx(metrics.average_precision_score(positive, scores))


def test_one_class_alone_is_undefined():
    assert ranking_scores(np.array([0.1, 0.2]), np.array([False, False])) == (None, None)
    assert ranking_scores(np.array([0.1, 0.2]), np.array([True, True])) == (None, 1.0)
    areas, precisions = resampled_ranking_scores(np.array([0.1, 0.2]), np.array([True, True]), Resampler.of([None] * 2, 5))
    assert np.isnan(areas).all() and (precisions == 1).all()


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.metrics', None)
    with pytest.raises(ValueError, match=r'mmaffinity\[report\]'):
        ranking_scores(np.array([0.1]), np.array([True]))


def test_roc_curve_has_a_point_per_distinct_score():
    false, true = roc_curve(np.array([0.9, 0.8, 0.8, 0.3]), np.array([True, True, False, False]))
    assert false.tolist() == [0, 0, 0.5, 1] and true.tolist() == [0, 0.5, 1, 1]


def test_roc_curve_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 20, 200) / 20, random.random(200) < 0.3
    expected = metrics.roc_curve(positive, scores, drop_intermediate=False)[:2]
    assert np.allclose(roc_curve(scores, positive), expected)
