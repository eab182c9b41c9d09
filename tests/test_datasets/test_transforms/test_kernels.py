import numpy as np
import pytest
from mmdet.registry import TRANSFORMS

from mmaffinity.datasets.transforms import RandomKernel

FLAT = np.full((64, 48), 100, np.uint8)
EDGE = np.repeat(np.repeat([[0, 200]], 64, 0), 24, 1).astype(np.uint8)


def changed(img=FLAT, **arguments):
    return TRANSFORMS.build(dict(type='RandomKernel', **arguments))(dict(img=img))['img']


def test_half_of_the_changes_smooth_and_half_add_noise():
    np.random.seed(0)
    smoothed = noisy = 0
    for _ in range(400):
        found = changed(EDGE, prob=0.5, max_noise=30)
        assert found.dtype == np.uint8 and found.shape == EDGE.shape
        if not np.array_equal(found, EDGE):
            rows_equal = np.array_equal(found, np.repeat(found[:1], 64, 0))  # as in the original
            smoothed += rows_equal
            noisy += not rows_equal
    assert 70 < smoothed < 130 and 70 < noisy < 130


def test_noise_has_at_most_the_given_strength_and_no_bias():
    np.random.seed(1)
    stds = []
    for _ in range(200):
        found = changed(FLAT.astype(np.float32), prob=1, max_sigma=0, max_noise=10)
        stds.append(found.std())
        assert found.mean() == pytest.approx(100, abs=1) and found.dtype == np.float32
    assert 8.5 < max(stds) < 10.5


def test_smoothing_keeps_the_mean_and_softens_edges():
    np.random.seed(2)
    steps = []
    for _ in range(50):
        found = changed(EDGE, prob=1, max_sigma=2, max_noise=0).astype(int)
        assert found.mean() == pytest.approx(100, abs=1)
        steps.append(int(np.abs(np.diff(found[30])).max()))
    assert max(steps) == 200 and 30 < min(steps) < 60  # half of them unchanged; a Gaussian of 2 pixels has a slope of 40


def test_channels_have_the_same_noise():
    np.random.seed(3)
    found = changed(np.repeat(FLAT[..., None], 3, 2), prob=1, max_sigma=0, max_noise=30)
    assert found.shape == (64, 48, 3) and np.array_equal(found[..., 0], found[..., 2])
    assert changed(FLAT[..., None], prob=1, max_noise=0).shape == (64, 48, 1)


def test_the_same_seed_gives_the_same_slices_and_other_transforms_the_same_numbers():
    np.random.seed(4)
    first = [changed() for _ in range(6)]
    after = np.random.rand()
    np.random.seed(4)
    assert all(np.array_equal(a, changed()) for a in first)
    np.random.seed(4)
    assert all(changed(prob=0) is FLAT for _ in range(6))
    assert np.random.rand() == after


@pytest.mark.parametrize('wrong', [dict(prob=-0.1), dict(prob=2), dict(max_sigma=-1), dict(max_noise=-1)])
def test_arguments_out_of_range(wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))}={next(iter(wrong.values()))}.*at least 0'):
        RandomKernel(**wrong)
