"""The confusion matrix as a figure."""

import numpy as np
import pytest

from mmaffinity.visualization.confusion import draw_confusion_matrix

# The Single-Shot Model's published counts.
MATRIX = np.array([[9322, 123, 5], [174, 7139, 82], [27, 277, 4042]])
CLASSES = ('Normal', 'CP', 'COVID-19')


def cell_texts(figure):
    return {(text.get_text(), round(text.get_position()[0]), round(text.get_position()[1])) for text in figure.axes[0].texts}


def test_counts_and_shares_of_rows():
    figure = draw_confusion_matrix(MATRIX, CLASSES, title='test')
    texts = cell_texts(figure)
    for row in range(3):
        for column in range(3):
            assert (f'{MATRIX[row, column]:,}', column, row) in texts
            assert (f'{100 * MATRIX[row, column] / sum(MATRIX[row]):.2f}%', column, row) in texts
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == list(CLASSES)
    assert [label.get_text() for label in axis.get_yticklabels()] == ['Normal\n(9,450)', 'CP\n(7,395)', 'COVID-19\n(4,346)']
    assert axis.get_ylabel().startswith('true') and axis.get_xlabel().startswith('predicted')
    assert axis.get_title() == 'test' and 'research use only' in figure._supxlabel.get_text()


def test_class_without_slices_has_a_dash_and_a_footnote():
    figure = draw_confusion_matrix([[9, 1], [0, 0]], ('Negative', 'COVID-19'))
    assert ('\u2013', 0, 1) in cell_texts(figure) and 'nan' not in str(cell_texts(figure))
    assert 'no slices of this class' in figure._supxlabel.get_text()


@pytest.mark.parametrize(
    'matrix, names',
    [(np.zeros((3, 3)), CLASSES), ([[4]], ('a',)), (np.ones((9, 9)), [f'a class with a long name {i}' for i in range(9)])],
)
def test_labels_do_not_overlap(matrix, names):
    figure = draw_confusion_matrix(matrix, names)
    figure.draw_without_rendering()
    axis = figure.axes[0]
    boxes = [text.get_window_extent() for text in axis.texts]
    assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[:index])
    for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[:index])


@pytest.mark.parametrize(
    'matrix, names, message',
    [
        (MATRIX, CLASSES[:2], '2 classes.*not \\(3, 3\\)'),
        (np.zeros((0, 0)), (), '0 classes'),
        ([[1.5]], ('a',), 'whole numbers'),
        ([[-1]], ('a',), 'whole numbers'),
        ([[float('nan')]], ('a',), 'whole numbers'),
    ],
)
def test_misuse_raises_clear_errors(matrix, names, message):
    with pytest.raises(ValueError, match=message):
        draw_confusion_matrix(matrix, names)


def test_dollar_signs_in_names_are_not_math():
    figure = draw_confusion_matrix([[1]], ('$\\bad$',), title='$\\bad$')
    figure.draw_without_rendering()  # raises where a formula is malformed
    axis = figure.axes[0]
    assert [axis.get_title(), axis.get_xticklabels()[0].get_text()] == ['$\\bad$'] * 2
