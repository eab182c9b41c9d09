"""How the time of a model grows with its input."""

import pytest
from model_helpers import FAST

from mmaffinity.apis.growth import GROWTH, growth_exponent, measure_growth


@pytest.fixture(scope='module')
def config(repo_root):
    return repo_root / 'configs' / 'affinity_c8.py'


def test_growth_of_time_is_measured(config, monkeypatch):
    for name in GROWTH:
        monkeypatch.setitem(GROWTH, name, (GROWTH[name][0], (2, 4)))
    measured = measure_growth(config, runs=1, warmup=0, num_threads=1, overrides=FAST)
    assert list(measured) == list(GROWTH)
    assert all(values == [2, 4] and len(seconds) == 2 and min(seconds) > 0 for values, seconds in measured.values())


def test_growth_of_weighted_rois(monkeypatch):
    """The steady form names its number of candidates, of which there must be as many as ranks."""
    monkeypatch.setitem(GROWTH, 'rois', ('classification', (20,)))
    overrides = {**FAST, 'model.roi_head.cls_head.norm_cfg.num_groups': 4}
    measured = measure_growth('affinity_c8_steady', ['rois'], runs=1, warmup=0, num_threads=1, overrides=overrides)
    assert measured['rois'][0] == [20]


def test_exponents():
    assert growth_exponent([1, 2, 4], [3.0, 6.0, 12.0]) == pytest.approx(1)
    assert growth_exponent([1, 2, 4], [1.0, 1.0, 4.0]) == pytest.approx(2)
    assert growth_exponent([1, 10], [5.0, 5.0]) == pytest.approx(0)


def test_unknown_quantities_are_rejected(config):
    with pytest.raises(ValueError, match='unknown: patients; growth is measured with the number of slices, objects, '):
        measure_growth(config, ['patients'])
