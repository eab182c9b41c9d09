"""Slice scores against the published figures, scikit-learn and hand-counted cases."""

import numpy as np
import pytest
from sklearn import metrics as sk

from mmaffinity.evaluation.functional.classification import (
    classification_report,
    confusion_matrix,
    format_confusion_matrix,
    format_report,
)

CLASSES = ('Normal', 'CP', 'COVID-19')
PUBLISHED_WEIGHTS = (0.45, 0.35, 0.20)
SINGLE_SHOT = [[9322, 123, 5], [174, 7139, 82], [27, 277, 4042]]
COVID_CT_MASK_NET = [[9236, 188, 26], [116, 7150, 129], [20, 298, 4028]]


def test_published_figures_to_the_printed_digit():
    assert f'{100 * classification_report(SINGLE_SHOT, CLASSES, PUBLISHED_WEIGHTS).f1:.2f}' == '96.76'
    report = classification_report(COVID_CT_MASK_NET, CLASSES, PUBLISHED_WEIGHTS)
    assert f'{100 * report.accuracy:.2f}' == '96.33'
    assert 'class-adjusted F1 96.76 %' in format_report(classification_report(SINGLE_SHOT, CLASSES, PUBLISHED_WEIGHTS))
    assert 'accuracy 96.33 %' in format_report(report)


@pytest.mark.parametrize('seed', range(10))
def test_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(2, 5))
    labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, 60)])
    preds = np.where(rng.random(len(labels)) < 0.6, labels, rng.integers(0, num_classes, len(labels)))
    preds[:num_classes] = np.arange(num_classes)  # every class occurs and is predicted
    confusion = confusion_matrix(labels, preds, num_classes)
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(labels, preds))
    report = classification_report(confusion)
    assert report.sensitivity == pytest.approx(sk.recall_score(labels, preds, average=None))
    assert report.precision == pytest.approx(sk.precision_score(labels, preds, average=None))
    assert report.f1_per_class == pytest.approx(sk.f1_score(labels, preds, average=None))
    assert report.f1 == pytest.approx(sk.f1_score(labels, preds, average='weighted'))
    assert report.accuracy == pytest.approx(sk.accuracy_score(labels, preds))
    assert report.specificity == pytest.approx(
        [sk.recall_score(labels == c, preds == c, pos_label=False) for c in range(num_classes)]
    )


def test_fixed_weights():
    report = classification_report([[2, 0], [1, 1]], class_weights=(0.25, 0.75))
    assert report.f1_per_class == pytest.approx((4 / 5, 2 / 3))
    assert report.f1 == pytest.approx(0.25 * 4 / 5 + 0.75 * 2 / 3)


def test_undefined_ratios_are_none_and_footnoted():
    report = classification_report([[5, 0, 0], [2, 0, 0], [0, 0, 0]], CLASSES)
    assert report.sensitivity == (1, 0, None)
    assert report.precision == (5 / 7, None, None)
    assert report.specificity == (0, 1, 1)
    assert report.f1_per_class == (10 / 12, 0, None)
    assert report.f1 == pytest.approx(5 / 7 * 10 / 12)
    assert set(report.as_dict()) == {
        'f1',
        'accuracy',
        'sensitivity_Normal',
        'sensitivity_CP',
        'precision_Normal',
        'specificity_Normal',
        'specificity_CP',
        'specificity_COVID-19',
        'f1_Normal',
        'f1_CP',
    }
    text = format_report(report)
    assert 'CP: never predicted' in text and 'COVID-19: no slices of this class' in text
    assert 'nan' not in text.lower().split()


def test_an_absent_class_counts_zero_under_fixed_weights():
    assert classification_report([[3, 0], [0, 0]], class_weights=(0.5, 0.5)).f1 == 0.5


def test_one_class_only():
    report = classification_report([[4, 0], [0, 0]], ('Negative', 'COVID-19'))
    assert report.specificity == (None, 1)
    assert any('specificity is undefined' in note for note in report.notes())


def test_no_footnote_without_reason():
    assert classification_report(SINGLE_SHOT).notes() == []


def test_names_become_safe_keys():
    assert 'sensitivity_Ground_glass_a_b' in classification_report(np.eye(2), ('Ground glass  a/b', 'x')).as_dict()


def test_confusion_matrix_reads_as_a_table():
    assert format_confusion_matrix([[10, 2], [0, 3]], ('Negative', 'COVID-19')).splitlines() == [
        'truth \\ predicted  Negative  COVID-19  all',
        '-----------------  --------  --------  ---',
        'Negative                 10         2   12',
        'COVID-19                  0         3    3',
        'all                      10         5   15',
    ]


def test_no_slices_give_a_matrix_of_zeros():
    np.testing.assert_array_equal(confusion_matrix([], [], 2), np.zeros((2, 2)))


@pytest.mark.parametrize(
    'args, message',
    [
        (([0, 1], [0], 2), '2 labels, but 1 prediction$'),
        (([0, 3], [0, 1], 3), 'label 3'),
        (([0, 1], [0, -1], 2), 'prediction -1'),
        (([0.5], [0], 2), 'label 0.5'),
    ],
)
def test_bad_lists(args, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(*args)


@pytest.mark.parametrize(
    'args, message',
    [
        (([[1, 2]],), 'shape'),
        (([[0, 0], [0, 0]],), 'no slice'),
        (([[1, -1], [0, 1]],), 'counts'),
        (([[1, float('nan')], [0, 1]],), 'counts'),
        ((np.eye(3), ('a', 'b')), '3 classes, but 2 class names'),
        ((np.eye(2), ('a', 'a')), 'distinct'),
        ((np.eye(2), None, 'balanced'), "'share'"),
        ((np.eye(2), None, (0.5, 0.3, 0.2)), 'as many'),
        ((np.eye(2), None, (0.5, 0.6)), 'sum to 1'),
        ((np.eye(2), None, (-1, 2)), 'at least 0'),
    ],
)
def test_bad_reports(args, message):
    with pytest.raises(ValueError, match=message):
        classification_report(*args)
