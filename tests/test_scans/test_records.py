"""Measuring predictions."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scan_helpers import chest, to_grey

from mmaffinity.scans import Slice, SliceRecord, measure


def item(spacing=(0.8, 0.5), thickness=5.0, grey=None):
    return Slice(
        'name', 'key', 3, to_grey(chest(size=256)) if grey is None else grey, spacing, thickness, -10.0, notes=('a note',)
    )


def boxes_as_masks(boxes, size=256):
    masks = np.zeros((len(boxes), size, size), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes):
        mask[y1:y2, x1:x2] = True
    return masks


BOXES = np.array([[10, 20, 30, 40], [20, 20, 40, 40], [100, 100, 110, 120]])


def record_of(**kwargs):
    return measure(
        item(**kwargs),
        'CP',
        {'CP': 0.75, 'Normal': 0.5},
        BOXES,
        np.array([0.6, 0.9, 0.1]),
        np.zeros(3, int),
        boxes_as_masks(BOXES),
        0.5,
    )


def test_areas_and_volume_are_those_of_the_union():
    record = record_of()
    assert [lesion.score for lesion in record.lesions] == [0.9, 0.6]
    assert [lesion.area_px for lesion in record.lesions] == [400, 400]
    assert record.lesions[0].area_mm2 == pytest.approx(160) and record.lesions[0].box == [20, 20, 40, 40]
    assert record.lesion_area_px == 600 and record.lesion_area_mm2 == pytest.approx(600 * 0.4)
    assert record.lesion_volume_ml == pytest.approx(600 * 0.4 * 5 / 1000)
    assert (record.index, record.name, record.position_mm, record.notes) == (3, 'name', -10, ['a note'])
    outside = boxes_as_masks(BOXES)[:2].any(axis=0) & (chest(size=256) != -820)
    assert record.lung_area_px == np.count_nonzero(chest(size=256) == -820) + np.count_nonzero(outside)
    assert np.array_equal(record.lesion_mask(), boxes_as_masks(BOXES)[:2].any(axis=0))


def test_unknown_spacing_gives_no_millimetres():
    record = record_of(spacing=None)
    assert record.lesion_area_px == 600 and record.lesion_area_mm2 is None and record.lesion_volume_ml is None
    assert record.lesions[0].area_mm2 is None
    assert record_of(thickness=None).lesion_volume_ml is None


def test_boxes_without_masks_have_no_area():
    record = measure(item(), None, {}, BOXES, np.array([0.6, 0.9, 0.1]), np.zeros(3, int), None, 0.5)
    assert len(record.lesions) == 2 and record.lesions[0].mask is None and record.lesion_area_mm2 is None
    assert not record.lesion_mask().any()


def test_nothing_found():
    masks = np.zeros((0, 256, 256), bool)
    record = measure(item(), 'CP', {}, np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), masks, 0.5)
    assert record.lesions == [] and record.lesion_area_px == 0 and record.lesion_area_mm2 == 0


@settings(deadline=None, max_examples=50)
@given(arrays(bool, (2, 64, 48)))
def test_a_record_survives_json(masks):
    record = measure(
        item(grey=np.zeros((64, 48), np.uint8)),
        'CP',
        {'CP': 0.1},
        np.zeros((2, 4)),
        np.array([0.7, 0.8]),
        np.array([0, 1]),
        masks,
        0.0,
    )
    again = SliceRecord.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False)))
    assert again == record
    assert np.array_equal(again.lesions[0].bitmap(), masks[1])
    assert np.array_equal(again.lesion_mask(), masks.any(axis=0))
    assert record.lesions[1].area_px == masks[0].sum()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=6), st.floats(0, 1))
def test_threshold_and_order(scores, threshold):
    boxes = np.zeros((len(scores), 4))
    record = measure(item(), None, {}, boxes, np.array(scores), np.zeros(len(scores), int), None, threshold)
    kept = [round(score, 6) for score in scores if score >= threshold]
    assert [lesion.score for lesion in record.lesions] == sorted(kept, reverse=True)
