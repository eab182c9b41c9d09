"""Scans of image files and of arrays."""

import tracemalloc

import cv2
import numpy as np
import pytest
from scan_helpers import chest, to_grey, write_images

from mmaffinity.scans import Problem, ReadOptions
from mmaffinity.scans.image_scan import ArrayScan, ImageScan, natural


def test_natural_order():
    names = ['a10', 'a9', 'a010', 'b1', 'A1', 'a', '7', '10', 'a' + '9' * 5000]
    ordered = sorted(names, key=natural)
    assert ordered[:2] == ['7', '10'] and ordered.index('a9') < ordered.index('a10') < ordered.index('a' + '9' * 5000)
    assert sorted(reversed(names), key=natural) == ordered


def test_the_order_of_a_large_folder_takes_little_memory():
    names = [f'slice_{index:06d}.png' for index in range(5000)]
    tracemalloc.start()
    assert sorted(reversed(names), key=natural) == names
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / 5000 < 250


def test_eight_and_sixteen_bit(tmp_path):
    grey = to_grey(chest())
    for name in ('a.png', 'b.tif', 'c.bmp'):
        cv2.imwrite(str(tmp_path / name), grey)
    cv2.imwrite(str(tmp_path / 'd.jpg'), grey, [cv2.IMWRITE_JPEG_QUALITY, 100])
    cv2.imwrite(str(tmp_path / 'e.png'), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / 'f.tif'), grey.astype(np.uint16) * 257)
    scan = ImageScan(tmp_path, ['f.tif', 'e.png', 'd.jpg', 'c.bmp', 'b.tif', 'a.png'], 'name', ReadOptions())
    slices = list(scan.read())
    names = ('a.png', 'b.tif', 'c.bmp', 'd.jpg', 'e.png', 'f.tif')
    assert [item.name for item in slices] == [f'name/{name}' for name in names]
    for item in slices:
        assert np.allclose(item.grey, grey, atol=3 if item.name.endswith('jpg') else 1e-3), item.name
    assert slices[0].spacing is None and slices[0].thickness is None


def test_twelve_bit_content_is_noted_not_guessed(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), to_grey(chest()).astype(np.uint16) * 16)
    (item,) = ImageScan(tmp_path, ['a.png'], 'n', ReadOptions()).read()
    assert 'max_value=4095' in item.notes[0]
    (item,) = ImageScan(tmp_path, ['a.png'], 'n', ReadOptions(max_value=4080)).read()
    assert item.notes == () and np.allclose(item.grey, to_grey(chest()), atol=1e-3)


def test_unreadable_files_have_a_reason(tmp_path):
    write_images(tmp_path, 2)
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'slice_0.png').read_bytes()[:100])
    cv2.imwrite(str(tmp_path / 'pixel.png'), np.zeros((1, 1), np.uint8))
    cv2.imwrite(str(tmp_path / 'blank.png'), np.full((64, 64), 7, np.uint8))
    scan = ImageScan(tmp_path, ['cut.png', 'gone.png', 'pixel.png', 'blank.png', 'slice_0.png'], 'n', ReadOptions())
    results = {item.source if isinstance(item, Problem) else item.name: item for item in scan.read()}
    assert 'truncated' in results['n/cut.png'].reason and 'cannot be opened' in results['n/gone.png'].reason
    assert 'is 1 x 1 pixels, too small' in results['n/pixel.png'].reason
    assert 'is blank' in results['n/blank.png'].notes[0] and results['n/slice_0.png'].notes == ()
    assert len(scan.keys()) == 5


def test_oversized_image_is_not_decoded(tmp_path):
    cv2.imwrite(str(tmp_path / 'large.png'), np.zeros((4097, 4096), np.uint8))
    (problem,) = ImageScan(tmp_path, ['large.png'], 'n', ReadOptions()).read()
    assert '16781312 pixels, more than max_pixels=16777216' in problem.reason
    (problem,) = ArrayScan([np.zeros((4097, 4096), np.uint8)], ReadOptions()).read()
    assert 'too large (16777216 pixels at most)' in problem.reason


def test_arrays():
    grey = to_grey(chest())
    scan = ArrayScan(
        [grey, np.stack([grey] * 3, axis=-1), grey.astype(float), np.zeros((3, 3, 3, 3)), grey[:1, :1]], ReadOptions()
    )
    results = list(scan.read({'array#2'}))
    assert [item.index for item in results[:2]] == [0, 1] and np.array_equal(results[1].grey, grey)
    assert [type(item) for item in results[2:]] == [Problem, Problem] and len(scan.keys()) == 5


def test_colour_images_and_arrays(tmp_path):
    """A model of colour images gets all channels; everything else, their grey levels."""
    image = np.random.RandomState(0).randint(0, 256, (48, 40, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    cv2.imwrite(str(tmp_path / 'flat.png'), image * 0 + 200)  # as grey levels, it would be noted
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'a.png').read_bytes()[:100])
    options = ReadOptions(color=True)
    scan = ImageScan(tmp_path, ['a.png', 'flat.png', 'cut.png'], 'n', options)
    first, problem, flat = scan.read()
    array, refused = ArrayScan([image, image.astype(float)], options).read()
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    for item in (first, array):
        assert np.array_equal(item.color, image) and np.array_equal(item.grey, grey) and item.notes == ()
    assert flat.notes == () and 'truncated' in problem.reason and 'must be a NumPy array of uint8' in refused.reason
    ((_, values),) = scan.values([0])
    assert np.array_equal(values, image)
    assert not any('lung window' in note for note in scan.info.notes)
    (item,) = ImageScan(tmp_path, ['a.png'], 'n', ReadOptions()).read()
    assert item.color is None


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('peak', [255, 1023, 255 * 16, 4095, 5000, 32767, 32768 + 1600])
def test_sixteen_bits_far_below_white_are_noted(tmp_path, suffix, peak):
    low = 32768 if peak > 32768 else 0  # Hounsfield units with an offset
    pixels = (to_grey(chest()) / 255 * (peak - low) + low).round().astype(np.uint16)
    cv2.imwrite(str(tmp_path / f'a{suffix}'), pixels)
    (item,) = ImageScan(tmp_path, [f'a{suffix}'], 'n', ReadOptions()).read()
    (note,) = item.notes
    assert note.startswith('warning: ') and f'brightest pixel is {peak} of 65535' in note and '--max-value' in note
    assert ('--max-value 4095' in note) == (low == 0) and ('start at 33144' in note) == (low > 0)
    (array,) = ArrayScan([pixels], ReadOptions()).read()
    assert array.notes == item.notes
    (item,) = ImageScan(tmp_path, [f'a{suffix}'], 'n', ReadOptions(max_value=peak)).read()
    # Nearly white everywhere, whatever the value of white.
    assert item.notes == () if low == 0 else 'the darkest pixel is 24' in item.notes[0]


@pytest.mark.parametrize(
    'grey, words',
    [
        (to_grey(chest()) // 4 + 150, 'the darkest pixel is 165 of 255'),
        (np.full((64, 64), 9, np.uint8), 'all pixels are 9'),
        ((chest() > 0).astype(np.uint8), 'only 2 grey levels: is it a mask?'),
        ((chest() > 0) * np.uint8(255), 'only 2 grey levels'),
        (to_grey(chest()) // 4, 'the brightest pixel is 63 of 255'),
    ],
)
def test_implausible_grey_levels_are_noted(grey, words):
    (item,) = ArrayScan([grey], ReadOptions()).read()
    assert item.notes[0].startswith('warning: ') and words in item.notes[0] and len(item.notes) == 1


def test_real_slices_need_no_note(shared_dir):
    folder = shared_dir / 'data' / 'ct_slices' / 'COVID'
    names = [path.name for path in sorted(folder.iterdir())]
    assert names and all(item.notes == () for item in ImageScan(folder, names, 'n', ReadOptions()).read())
