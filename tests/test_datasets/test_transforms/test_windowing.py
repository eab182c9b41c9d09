import numpy as np
import pytest
from mmdet.registry import TRANSFORMS

from mmaffinity.datasets.transforms import RandomWindow

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def windowed(img=LEVELS, **arguments):
    return TRANSFORMS.build(dict(type='RandomWindow', **arguments))(dict(img=img))['img']


def test_shift_alone_moves_and_clips():
    np.random.seed(1)
    found = windowed(prob=1, max_shift=0.2, max_scale=1)
    shift = int(found[8, 8]) - 136
    assert shift != 0 and abs(shift) <= 51
    assert np.array_equal(found, np.clip(LEVELS.astype(int) + shift, 0, 255)) and found.dtype == np.uint8


def test_scale_alone_keeps_the_centre():
    np.random.seed(2)
    slopes = []
    for _ in range(200):
        found = windowed(LEVELS.astype(np.float32), prob=1, max_shift=0, max_scale=1.25)
        slopes.append((found[8, 4] - found[7, 12]) / 8)
        assert found[7, 15] + found[8, 0] == pytest.approx(255, abs=1e-3) and found.dtype == np.float32
    assert 0.8 <= min(slopes) < 0.83 and 1.21 < max(slopes) <= 1.2501


def test_share_of_changed_slices():
    np.random.seed(3)
    changed = sum(not np.array_equal(windowed(prob=0.3), LEVELS) for _ in range(500))
    assert 110 < changed < 190
    assert windowed(prob=0) is LEVELS


def test_the_same_seed_gives_the_same_window():
    np.random.seed(4)
    first = [windowed() for _ in range(5)]
    np.random.seed(4)
    assert all(np.array_equal(a, windowed()) for a in first)


@pytest.mark.parametrize('wrong', [dict(prob=1.1), dict(max_shift=-0.1), dict(max_shift=0.6), dict(max_scale=0.9)])
def test_arguments_out_of_range(wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))}={next(iter(wrong.values()))}.*max_shift between 0 and 0.5'):
        RandomWindow(**wrong)
