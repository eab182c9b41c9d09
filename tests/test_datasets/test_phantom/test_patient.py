"""Phantom patients."""

from mmaffinity.datasets.phantom import (
    SLICE_CLASSES,
)


def test_classes_are_in_the_order_of_the_labels():
    assert SLICE_CLASSES == ('Normal', 'CP', 'COVID-19')
