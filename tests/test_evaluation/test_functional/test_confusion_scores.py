"""Stacked confusion scores against the one-matrix report and scikit-learn."""

import numpy as np
import pytest

from mmaffinity.evaluation.functional.classification import classification_report
from mmaffinity.evaluation.functional.confusion_scores import confusion_scores

metrics = pytest.importorskip('sklearn.metrics')
MATRICES = [
    [[9322, 123, 5], [174, 7139, 82], [27, 277, 4042]],
    [[5, 0, 0], [0, 0, 0], [2, 1, 4]],
    [[3, 0, 0], [2, 0, 0], [1, 0, 0]],
    [[0, 0, 0], [0, 7, 0], [0, 0, 0]],
    [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
]


@pytest.mark.parametrize('weights', ['share', (0.45, 0.35, 0.2)])
def test_against_the_report_of_one_matrix(weights):
    found = confusion_scores(np.array(MATRICES), weights)
    for index, matrix in enumerate(MATRICES):
        report = classification_report(np.array(matrix), class_weights=weights)
        for name in ('sensitivity', 'precision', 'specificity', 'f1_per_class'):
            expected = [np.nan if value is None else value for value in getattr(report, name)]
            np.testing.assert_allclose(found[name][index], expected, err_msg=name)
        assert found['f1'][index] == pytest.approx(report.f1)
        assert found['accuracy'][index] == pytest.approx(report.accuracy)


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_against_scikit_learn():
    for matrix in MATRICES[:1] + MATRICES[2:]:
        pairs = [(row, column) for row in range(3) for column in range(3) for _ in range(matrix[row][column])]
        labels, predictions = np.array(pairs).T
        found = confusion_scores(np.array(matrix))
        assert found['mcc'] == pytest.approx(metrics.matthews_corrcoef(labels, predictions))
        assert found['balanced_accuracy'] == pytest.approx(metrics.balanced_accuracy_score(labels, predictions))


def test_published_figure():
    assert confusion_scores(np.array(MATRICES[0]), (0.45, 0.35, 0.2))['f1'] == pytest.approx(0.9676, abs=5e-5)


def test_an_empty_matrix_is_undefined_everywhere():
    found = confusion_scores(np.zeros((3, 3)))
    assert all(np.isnan(found[name]).all() for name in ('sensitivity', 'precision', 'accuracy', 'balanced_accuracy'))
