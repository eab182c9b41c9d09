"""Selection of lesions in masks; the lists are tested with the converters of volumes and images."""

import numpy as np
import pytest

from mmaffinity.datasets.conversion import LesionOptions
from mmaffinity.datasets.conversion.lesion_options import check_labels


def mask(*boxes):
    labels = np.ones((40, 40), np.uint16)
    for label, x, y, width, height in boxes:
        labels[y : y + height, x : x + width] = label
    return labels


@pytest.mark.parametrize(
    'boxes, negatives, areas, num_small, kept',
    [
        ([(700, 5, 5, 6, 5), (9, 20, 20, 5, 7)], False, [30, 35], 0, True),  # labels above a byte
        ([(9, 5, 5, 6, 5), (700, 11, 5, 2, 5)], False, [40], 0, True),  # touching lesions of two labels are one
        ([(9, 5, 5, 3, 3)], False, [], 1, False),
        ([(9, 5, 5, 3, 3)], True, [], 1, False),  # only small lesions: not a negative either
        ([(4, 5, 5, 9, 9)], False, [], 0, False),
        ([(4, 5, 5, 9, 9)], True, [], 0, True),
    ],
)
def test_slices_are_kept_with_lesions_or_as_negatives(boxes, negatives, areas, num_small, kept):
    found, keep = LesionOptions([9, 700], negatives, 20).annotate(mask(*boxes))
    assert [annotation['area'] for annotation in found.annotations] == areas
    assert found.num_small == num_small and keep is kept


def test_which_labels_are_lesions():
    assert (
        check_labels({'a': {1, 255}, 'b': {1}, 'c': set()}, LesionOptions([255]))
        == '2 masks have none of the labels [255] (b, c)'
    )
    assert check_labels({'a': {255}, 'b': set()}, LesionOptions()) == ''
    with pytest.raises(ValueError, match=r'the masks contain the labels 1, 2, 3: specify .* --lesion-labels 3'):
        check_labels({'a': {1, 2}, 'b': {3}}, LesionOptions())


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(lesion_labels=[]), 'lesion_labels='),
        (dict(lesion_labels=[0]), 'above 0'),
        (dict(min_area=-1), 'minimum area is -1'),
    ],
)
def test_invalid_options(arguments, words):
    with pytest.raises(ValueError, match=words):
        LesionOptions(**arguments)
