import cv2
import numpy as np
import pytest

from mmaffinity.datasets.grey_levels import grey_level_statistics


def test_equals_numpy_over_all_pixels(tmp_path):
    rng = np.random.default_rng(0)
    pixels, paths = [], []
    for index, (shape, dtype, white) in enumerate(
        [((20, 30), np.uint8, 255), ((7, 9), np.uint16, 65535), ((50, 10), np.uint8, 255)]
    ):
        values = rng.integers(0, white + 1, shape).astype(dtype)
        paths.append(tmp_path / f'{index}.png')
        cv2.imwrite(str(paths[-1]), values)
        pixels.append(values.astype(np.float64).ravel() / white)
    pixels = np.concatenate(pixels)
    result = grey_level_statistics(paths, workers=2)
    assert result['num_slices'] == 3
    assert result['mean'] == pytest.approx(pixels.mean(), abs=1e-8)
    assert result['std'] == pytest.approx(pixels.std(), abs=1e-8)
    # Neither order nor workers change a bit.
    assert grey_level_statistics(paths[::-1], workers=1) == result


def test_colour_counts_as_grey(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (16, 16), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    cv2.imwrite(str(tmp_path / 'colour.png'), np.dstack([grey] * 3))
    alpha = np.dstack([grey, grey, grey, np.arange(256, dtype=np.uint8).reshape(16, 16)])
    cv2.imwrite(str(tmp_path / 'alpha.png'), alpha)
    results = [grey_level_statistics([tmp_path / f'{name}.png']) for name in ('grey', 'colour', 'alpha')]
    assert results[0] == results[1] == results[2]
    assert results[0]['mean'] == pytest.approx(grey.mean() / 255, abs=1e-12)


def test_constant_slice_has_no_spread(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((9, 9), 77, np.uint8))
    assert grey_level_statistics([tmp_path / 'a.png'] * 3) == dict(mean=77 / 255, std=0.0, num_slices=3)


def test_errors_and_progress(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((9, 9), np.uint8))
    seen = []
    grey_level_statistics([tmp_path / 'a.png'] * 3, progress=lambda *args: seen.append(args))
    assert seen == [('slices', 1, 3), ('slices', 2, 3), ('slices', 3, 3)]
    (tmp_path / 'b.png').write_bytes((tmp_path / 'a.png').read_bytes()[:40])
    with pytest.raises(ValueError, match='b.png'):
        grey_level_statistics([tmp_path / 'a.png', tmp_path / 'b.png'])
    with pytest.raises(FileNotFoundError, match='c.png'):
        grey_level_statistics([tmp_path / 'c.png'])
    with pytest.raises(ValueError, match='there are no slices'):
        grey_level_statistics([])
