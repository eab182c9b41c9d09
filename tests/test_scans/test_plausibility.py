"""Plausibility of Hounsfield units of a chest."""

import numpy as np
import pytest
from scan_helpers import chest, to_grey

from mmaffinity.scans.plausibility import Tally

HU = chest()


def tally(values):
    return Tally().add(np.asarray(values, dtype=float))


@pytest.mark.parametrize(
    'values', [HU, np.clip(HU, -1350, 150), np.where(HU == -1000, -3024, HU)], ids=['hu', 'lung window', 'padded corners']
)
def test_a_chest_passes(values):
    assert tally(values).refusal() == tally(values).doubt() == tally(values).doubt_of_volume() == ''


@pytest.mark.parametrize(
    'values, words',
    [
        (to_grey(HU), 'fewer than 1 in 20'),
        (to_grey(HU) * 4, 'fewer than 1 in 20'),
        (HU + 1024, 'fewer than 1 in 20'),
        (HU + 32768, 'fewer than 1 in 20'),
        (to_grey(HU) / 255, 'a mask or a rescaled volume'),
        (HU > 0, 'a mask'),
        (np.full((64, 64), -1000), 'a mask'),
        (np.clip(HU, -160, 240), 'no air (below -500)'),
        (np.clip(HU, -50, 200), 'fewer than 1 in 20'),
        (np.abs(HU) * 2, 'fewer than 1 in 20'),
        (HU * 0.1, 'fewer than 1 in 20'),
        (to_grey(HU).astype(float) - 1024, 'no soft tissue'),
        (np.full((64, 64), -3024) + (HU > 0) * 200, 'no soft tissue'),
    ],
    ids=[
        'grey',
        'stretched',
        '12 bit',
        'offset 32768',
        'float 0..1',
        'mask',
        'constant',
        'soft-tissue window',
        'narrow window',
        'PET',
        'slope',
        'grey with intercept',
        'below all',
    ],
)
def test_implausible_volume_is_rejected(values, words):
    reason = tally(values).refusal()
    assert words in reason and len(reason) < 300  # longer messages are truncated on the console
    if 'window' not in words and 'air (' not in words:
        assert '--rescale SLOPE INTERCEPT' in reason and 'PNG' in reason


@pytest.mark.parametrize(
    'values, words',
    [
        (HU + 1024, 'values from 24 to 1624, but no air'),
        (HU - 1024, '71% of them below -1024, but hardly any'),
        (np.full((64, 64), -2000.0), '100% of them below'),
        (np.where(HU > -500, 2000.0, HU), 'hardly any soft tissue'),
        (HU * 0.1, 'no air'),
    ],
)
def test_implausible_slice_is_noted(values, words):
    note = tally(values).doubt()
    assert note.startswith('warning: HU look implausible') and words in note


def test_little_air_in_a_volume_is_noted():
    values = np.full(1000, -120.0)
    values[:20] = -900
    assert 'fewer than 1 in 20 of them air' in tally(values).doubt_of_volume()


def test_counts_add_up_without_non_finite_values():
    pieces = Tally()
    for row in HU:
        pieces.add(np.append(row, [np.nan, np.inf, -np.inf]))
    assert vars(pieces) == vars(tally(HU))


def test_empty_tally_gives_no_note():
    assert tally([]).refusal() == tally([np.nan]).doubt() == tally([np.inf]).doubt_of_volume() == ''
