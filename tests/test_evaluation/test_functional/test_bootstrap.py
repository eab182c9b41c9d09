"""Resampling by patient against loops, intervals against closed forms, undefined values."""

import numpy as np
import pytest

from mmaffinity.evaluation.functional.bootstrap import Estimate, Resampler, interval, paired_difference


def test_units_are_patients_or_slices():
    by_patient = Resampler.of(['b', 'a', 'b', 'c'])
    assert (by_patient.kind, by_patient.num_units, by_patient.unit_of.tolist()) == ('patients', 3, [0, 1, 0, 2])
    by_slice = Resampler.of([None] * 4)
    assert (by_slice.kind, by_slice.num_units) == ('slices', 4)
    mixed = Resampler.of(['a', None, 'a', None])
    assert mixed.num_units == 3 and 'unknown patients' in mixed.kind
    for wrong in (dict(patients=[]), dict(patients=['a'], num_resamples=0), dict(patients=['a'], seed=-1)):
        with pytest.raises(ValueError):
            Resampler.of(**wrong)


def test_resampled_patient_contributes_all_slices(monkeypatch):
    resampler = Resampler.of(['a', 'a', 'b', 'c', 'c', 'c'], num_resamples=50, seed=3)
    values = np.arange(12.0).reshape(6, 2)
    sums = resampler.sums(values)
    assert (resampler.weights.sum(1) == 3).all() and resampler.weights.shape == (50, 3)
    for row, weights in zip(sums, resampler.weights):
        expected = sum(weights[unit] * value for unit, value in zip(resampler.unit_of, values))
        np.testing.assert_allclose(row, expected)
    order = np.array([5, 0, 3])
    records = np.concatenate(list(resampler.record_weights(order)))
    np.testing.assert_array_equal(records, resampler.weights[:, resampler.unit_of[order]])
    # The chunk size does not matter.
    monkeypatch.setattr('mmaffinity.evaluation.functional.bootstrap.CHUNK_VALUES', 7)
    np.testing.assert_allclose(resampler.sums(values), sums)
    np.testing.assert_array_equal(np.concatenate(list(resampler.record_weights(order))), records)


def test_draws_repeat_and_depend_on_the_seed():
    a, b, c = (Resampler.of(list('abcdefgh'), 20, seed).weights for seed in (0, 0, 1))
    assert (a == b).all() and (a != c).any()


def test_interval_of_a_mean_matches_the_normal_distribution():
    values = np.random.default_rng(0).normal(size=400)
    resampler = Resampler.of([None] * 400, 4000)
    found = interval(values.mean(), resampler.sums(values[:, None])[:, 0] / 400, 400)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


def test_undefined_figures_have_an_explanation_instead_of_a_number():
    samples = np.array([0.1, np.nan, 0.3])
    assert interval(None, samples, 5, undefined='no slice').note == 'no slice'
    assert interval(float('nan'), samples, 5).value is None
    assert interval(0.2, samples, 1, 'patients') == Estimate(
        0.2, note='no interval: it needs at least two patients, and there is only one'
    )
    assert 'every resample' in interval(0.2, np.full(3, np.nan), 5).note
    found = interval(0.2, samples, 5)
    assert '33%' in found.note and 0.1 <= found.low < found.high <= 0.3
    assert interval(0.2, np.linspace(0, 1, 101), 5) == Estimate(0.2, pytest.approx(0.025), pytest.approx(0.975), None)


def test_paired_differences_are_narrower_than_two_intervals():
    random = np.random.default_rng(1)
    hard = random.normal(size=200)  # what makes a slice hard for both
    first, second = hard + 0.1 * random.normal(size=200) + 0.1, hard + 0.1 * random.normal(size=200)
    resampler = Resampler.of([None] * 200, 1000)
    samples = resampler.sums(np.stack([first, second], 1)) / 200
    a, b = (interval(values.mean(), column, 200) for values, column in zip((first, second), samples.T))
    difference = paired_difference(a, b, *samples.T, 200)
    assert difference.value == pytest.approx(first.mean() - second.mean())
    assert difference.low > 0 and a.low < b.high
    assert difference.high - difference.low < (a.high - a.low) / 3
    alone = paired_difference(Estimate(0.5, note='one patient'), b, *samples.T, 200)
    assert alone.low is None and alone.note == 'one patient' and alone.value == pytest.approx(0.5 - b.value)
    assert paired_difference(Estimate(None), b, *samples.T, 200).value is None
