"""The result of a whole scan."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaffinity.scans import Lesion, ScanSummary, SliceRecord


def record(index, p, label, area_mm2=None, volume=None, area_px=0, lesions=0, lung=None):
    return SliceRecord(
        index,
        f's{index}',
        10,
        10,
        None,
        None,
        label,
        dict(zip('ab', p)),
        [Lesion(0.9, 0, [0, 0, 1, 1], 1, None, None)] * lesions,
        area_px,
        area_mm2,
        volume,
        lung,
    )


def test_totals_are_sums_over_slices():
    summary = ScanSummary()
    for item in (
        record(0, (0.2, 0.9), 'b', 10.0, 0.05, 20, 2, 100),
        record(1, (0.8, 0.1), 'a', 30.0, 0.15, 60, 1, 300),
        record(2, (0.5, 0.2), 'a', 0.0, 0.0, 0, 0, None),
    ):
        summary.add(item)
    answer = summary.to_dict()
    assert answer['mean_probability'] == pytest.approx({'a': 0.5, 'b': 0.4}) and answer['label'] == 'a'
    assert answer['share_of_slices'] == pytest.approx({'a': 2 / 3, 'b': 1 / 3})
    assert answer['most_affected_slice'] == dict(index=1, name='s1', lesion_area_px=60, lesion_area_mm2=30.0)
    lesions = answer['lesions']
    assert (lesions['number'], lesions['num_slices'], lesions['area_px']) == (3, 2, 80)
    assert lesions['area_mm2'] == pytest.approx(40) and lesions['volume_ml'] == pytest.approx(0.2)
    assert lesions['share_of_lung']['value'] == pytest.approx(80 / 400) and lesions['share_of_lung']['num_slices'] == 2
    assert 'approximate' in lesions['share_of_lung']['method']


def test_value_missing_for_one_slice_is_unknown_for_the_scan():
    summary = ScanSummary()
    summary.add(record(0, (), None, 10.0, None, 5, 1))
    summary.add(record(1, (), None, None, None, 7, 1))
    answer = summary.to_dict()
    assert answer['label'] is None and answer['mean_probability'] == {} and answer['lesions']['area_mm2'] is None
    assert answer['lesions']['volume_ml'] is None and answer['lesions']['share_of_lung'] is None


def test_summary_without_slices():
    answer = ScanSummary().to_dict()
    assert answer['num_slices'] == 0 and answer['most_affected_slice'] is None and answer['label'] is None
    assert answer['lesions']['volume_ml'] is None


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_means_and_shares(probabilities):
    summary = ScanSummary()
    for index, p in enumerate(probabilities):
        summary.add(record(index, p, 'ab'[int(np.argmax(p))]))
    answer = summary.to_dict()
    assert list(answer['mean_probability'].values()) == pytest.approx(np.mean(probabilities, axis=0).tolist())
    assert sum(answer['share_of_slices'].values()) == pytest.approx(1)
