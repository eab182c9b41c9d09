import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS

from mmaffinity.datasets.transforms import LoadCTSlice, LoadCTSliceFromArray

RGB = np.random.RandomState(0).randint(0, 256, (40, 56, 3)).astype(np.uint8)


@pytest.fixture
def slice_file(tmp_path) -> str:
    path = str(tmp_path / 'slice.png')
    cv2.imwrite(path, RGB[..., 0])
    return path


def test_load(slice_file):
    transform = TRANSFORMS.build(dict(type='LoadCTSlice', max_value=4095))
    results = transform(dict(img_path=slice_file, height=40, width=56))
    np.testing.assert_array_equal(results['img'], RGB[..., 0])
    assert results['img_shape'] == results['ori_shape'] == (40, 56)
    assert repr(transform) == 'LoadCTSlice(max_value=4095, max_pixels=67108864)'


def test_16_bit_with_max_value(tmp_path):
    path = str(tmp_path / 'slice.png')
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(path, values)
    results = LoadCTSlice(max_value=4095)(dict(img_path=path))
    np.testing.assert_allclose(results['img'], values * (255 / 4095), rtol=1e-6)
    assert results['img'].dtype == np.float32


def test_errors_name_file_and_row(slice_file, tmp_path):
    transform = LoadCTSlice(max_pixels=3000)
    origin = dict(ann_file='annotations/slices_train.json', row=17)
    named = r'row 17 of annotations/slices_train\.json'
    with pytest.raises(FileNotFoundError, match=rf'gone\.png.*{named}'):
        transform(dict(img_path=str(tmp_path / 'gone.png'), **origin))
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(ValueError, match=rf'text\.png is not an image.*{named}'):
        transform(dict(img_path=str(tmp_path / 'text.png'), **origin))
    with pytest.raises(ValueError, match=rf'slice\.png is 40 x 56.*annotated as 512 x 512.*{named}'):
        transform(dict(img_path=slice_file, height=512, width=512, **origin))
    with pytest.raises(ValueError, match=rf'max_pixels=1000.*{named}'):
        LoadCTSlice(max_pixels=1000)(dict(img_path=slice_file, **origin))
    with pytest.raises(FileNotFoundError) as error:
        transform(dict(img_path=str(tmp_path / 'gone.png')))
    assert str(error.value).endswith('gone.png')


@pytest.mark.parametrize('options', [dict(max_value=0), dict(max_value=65536), dict(max_pixels=0)])
def test_bad_arguments(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LoadCTSlice(**options)


def from_array(img, **options):
    return TRANSFORMS.build(dict(type='LoadCTSliceFromArray', **options))(dict(img=img))


def test_array():
    grey = RGB[..., 0]
    results = from_array(grey)
    np.testing.assert_array_equal(results['img'], grey)
    assert results['img_shape'] == results['ori_shape'] == (40, 56) and results['img_path'] is None
    for same in (
        grey[..., None],
        np.dstack([grey] * 3),
        np.dstack([grey] * 3 + [RGB[..., 1]]),
        np.asfortranarray(grey),
        grey.astype(np.float64),
        grey.astype(np.float32)[..., None],
    ):
        img = from_array(same)['img']
        np.testing.assert_array_equal(img, grey)
        assert img.ndim == 2 and img.flags.c_contiguous
        assert img.dtype == (np.float32 if same.dtype.kind == 'f' else np.uint8)
    np.testing.assert_array_equal(from_array(grey[::-1, ::2])['img'], grey[::-1, ::2])
    np.testing.assert_array_equal(from_array(grey > 100)['img'], np.where(grey > 100, 255, 0))


def test_array_16_bit():
    values = np.random.RandomState(1).randint(0, 65536, (8, 9)).astype(np.uint16)
    for array in (values, values.astype('>u2'), values.astype('<u2')):
        np.testing.assert_allclose(from_array(array)['img'], values / 257, rtol=1e-6)
    np.testing.assert_allclose(from_array(values >> 4, max_value=4095)['img'], (values >> 4) / 4095 * 255, rtol=1e-6)
    with pytest.raises(ValueError, match='the array has a pixel of value .* above max_value=4095'):
        from_array(values, max_value=4095)


def test_channel_order():
    luma = RGB.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(from_array(RGB, channel_order='rgb')['img'] - luma).max() <= 0.51
    assert np.abs(from_array(RGB[..., ::-1])['img'] - luma).max() <= 0.51
    with pytest.raises(ValueError, match='channel_order'):
        LoadCTSliceFromArray(channel_order='grb')


@pytest.mark.parametrize(
    'img, match',
    [
        ([[0, 1]], 'not list'),
        (np.zeros(5, np.uint8), r'shape \(5,\)'),
        (np.zeros((5, 5, 2), np.uint8), r'\(5, 5, 2\)'),
        (np.zeros((0, 5), np.uint8), r'\(0, 5\)'),
        (np.zeros((5, 5), np.int16), 'Hounsfield'),
        (np.full((5, 5), -1000.0), '-1000..-1000'),
        (np.full((5, 5), 256.0), '256'),
        (np.full((5, 5), np.nan), 'nan'),
        (np.full((5, 5), 0.7), 'by 255'),
    ],
)
def test_bad_arrays(img, match):
    with pytest.raises(ValueError, match=match):
        from_array(img)


def test_black_float_array_is_accepted():
    assert from_array(np.zeros((5, 5)))['img'].dtype == np.float32
