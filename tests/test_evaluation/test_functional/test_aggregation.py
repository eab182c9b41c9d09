"""Scans and patients from slices, by hand."""

import numpy as np
import pytest

from mmaffinity.evaluation.functional.aggregation import aggregate

UNITS = ['b', 'a', 'b', 'a', 'b', 'c', 'c']
LABELS = np.array([1, 0, 1, 0, 1, 0, 1])
PREDICTIONS = np.array([0, 0, 0, 1, 1, 0, 1])
SCORES = np.array([[0.6, 0.5], [0.9, 0.2], [0.6, 0.5], [0.4, 0.5], [0.1, 0.9], [0.5, 0.1], [0.1, 0.5]])


def test_aggregation_rules_can_be_chosen():
    joined = aggregate(UNITS, LABELS, PREDICTIONS, 2, SCORES)
    assert joined.units == ('b', 'a') and joined.mixed == ('c',)
    assert joined.labels.tolist() == [1, 0] and joined.first.tolist() == [0, 1]
    np.testing.assert_allclose(joined.mean_scores, [[1.3 / 3, 1.9 / 3], [0.65, 0.35]])
    np.testing.assert_allclose(joined.shares, [[2 / 3, 1 / 3], [0.5, 0.5]])
    assert joined.by_share.tolist() == [0, 0]  # for equal shares, the class with the higher mean probability


def test_without_probabilities_and_without_slices():
    joined = aggregate(UNITS, LABELS, PREDICTIONS, 2)
    assert joined.mean_scores is None and joined.by_share.tolist() == [0, 0]
    with pytest.raises(ValueError, match='no slice'):
        aggregate([], LABELS[:0], PREDICTIONS[:0], 2)
    mixed = aggregate(['a', 'a'], np.array([0, 1]), np.array([0, 1]), 2)
    assert mixed.units == () and mixed.mixed == ('a',)
