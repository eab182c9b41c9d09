"""Shares of lesions in the attribution."""

import numpy as np
import pytest

from mmaffinity.visualization.pages.scan_page import box_overlaps, with_shares


def test_overlaps_of_boxes():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 5, 5.0]])
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30.0]])
    assert box_overlaps(boxes, others) == pytest.approx(np.array([[1, 50 / 150, 0], [0, 0, 0]]))
    assert box_overlaps(boxes, np.zeros((0, 4))).shape == (2, 0)


def test_rois_are_assigned_to_the_lesion_that_they_overlap_most():
    record = dict(width=512, height=400, lesions=[dict(box=[0, 0, 10, 10]), dict(box=[100, 100, 140, 140])])
    rois = dict(
        boxes=[[0, 0, 10, 9], [101, 101, 140, 140], [102, 100, 139, 141], [60, 60, 70, 70], [9, 9, 30, 30]],
        shares=[[0.5, -0.1], [0.1, 0.2], [0.2, 0.3], [-0.1, 0.2], [0.1, 0.2]],
    )
    found = with_shares(record, rois)
    assert found['rois']['lesions'] == [0, 1, 1, None, None]
    assert np.allclose(found['lesion_shares'], [[0.5, -0.1], [0.3, 0.5]]) and np.allclose(found['other_shares'], [0, 0.4])


def test_a_roi_that_spans_the_slice_has_a_share_of_its_own():
    record = dict(width=40, height=30, lesions=[dict(box=[0, 0, 40, 29])])
    rois = dict(boxes=[[0, 0, 40, 28], [20, 20, 22, 22], [0, 0, 39.9999, 30.0]], shares=[[0.1, 0.2], [0.3, 0.1], [-0.5, 0.7]])
    found = with_shares(record, rois)
    assert found['rois']['lesions'] == [0, None, 'slice']
    assert (
        found['lesion_shares'] == [[0.1, 0.2]] and found['other_shares'] == [0.3, 0.1] and found['slice_shares'] == [-0.5, 0.7]
    )


def test_without_lesions_or_rois():
    rois = dict(boxes=[[0, 0, 1, 1]], shares=[[0.25, 0.75]])
    found = with_shares(dict(width=512, height=400, lesions=[]), rois)
    assert found['lesion_shares'] == [] and found['other_shares'] == [0.25, 0.75] and 'slice_shares' not in found
    assert with_shares(dict(lesions=[]), None) == dict(lesions=[])
