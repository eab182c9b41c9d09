"""Calibration error against a loop; the temperature against the one that made the data."""

import numpy as np
import pytest

from mmaffinity.evaluation.functional.bootstrap import Resampler
from mmaffinity.evaluation.functional.calibration import (
    calibrated,
    fit_temperature,
    logits_of,
    reliability,
    resampled_ece,
)


def ece_by_hand(confidence, correct, bins=15):
    total = 0.0
    for index in range(bins):
        inside = [
            i for i, value in enumerate(confidence) if index / bins < value <= (index + 1) / bins or (index == 0 and value == 0)
        ]
        if inside:
            total += abs(sum(correct[i] for i in inside) - sum(confidence[i] for i in inside)) / len(confidence)
    return total


def test_ece_against_a_loop():
    random = np.random.default_rng(0)
    confidence, correct = random.random(80), random.random(80) < 0.6
    found = reliability(confidence, correct)
    assert found.ece == pytest.approx(ece_by_hand(confidence, correct))
    assert found.count.sum() == 80
    resampler = Resampler.of([str(i % 9) for i in range(80)], 10)
    for weights, ece in zip(resampler.weights, resampled_ece(confidence, correct, resampler)):
        drawn = np.repeat(np.arange(80), weights[resampler.unit_of])
        assert ece == pytest.approx(ece_by_hand(confidence[drawn], correct[drawn]))


def test_borders_and_empty_bins():
    found = reliability(np.array([0.0, 1.0, 0.5]), np.array([False, True, True]), 2)
    assert found.count.tolist() == [2, 1]
    assert found.confidence.tolist() == [0.25, 1.0] and found.accuracy.tolist() == [0.5, 1.0]
    lone = reliability(np.array([0.9]), np.array([True]), 2)
    assert np.isnan(lone.accuracy[0])
    assert lone.as_dict() == dict(count=[0, 1], confidence=[None, 0.9], accuracy=[None, 1.0], ece=pytest.approx(0.1))
    for wrong in ([], [1.2], [float('nan')]):
        with pytest.raises(ValueError):
            reliability(np.array(wrong), np.ones(len(wrong), bool))


def test_fitted_temperature_matches_the_data():
    random = np.random.default_rng(0)
    honest = random.normal(size=(20000, 2))
    # Two mutually exclusive classes: the logits of the second are those of the first, negated.
    honest[:, 1] = -honest[:, 0]
    labels = (random.random(20000) > calibrated(honest[:, 0], 1)).astype(int)
    for temperature in (0.5, 1.0, 3.0):
        assert fit_temperature(temperature * honest, labels) == pytest.approx(temperature, rel=0.05)


def test_temperature_of_a_perfect_model_is_bounded():
    assert fit_temperature(np.array([[5.0, -5.0], [-5.0, 5.0]]), np.array([0, 1])) == pytest.approx(0.05, rel=0.01)
    for logits in (np.zeros((0, 2)), np.array([[np.inf, 0.0]])):
        with pytest.raises(ValueError, match='validation slice'):
            fit_temperature(logits, np.zeros(len(logits), int))


def test_logits_of_probabilities():
    values = np.array([0.2, 0.5, 1.0, 0.0])
    assert np.isfinite(logits_of(values)).all()
    np.testing.assert_allclose(calibrated(logits_of(values), 1), values, atol=2e-7)
