"""The three normalisations by hand, sources of the statistics, and invalid arguments."""

import json
import math

import pytest
import torch
from model_helpers import images, slice_sample

from mmaffinity.models import SliceDataPreprocessor

GREY = [[0, 51], [102, 255]]


def run(preprocessor, *slices):
    return preprocessor(dict(inputs=list(slices), data_samples=[slice_sample() for _ in slices]))['inputs']


def grey(dtype=torch.uint8):
    return torch.tensor([GREY], dtype=dtype)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_none(dtype):
    out = run(SliceDataPreprocessor('none'), grey(dtype))
    assert out.shape == (1, 3, 2, 2) and out.dtype == torch.float32 and out.is_contiguous()
    for channel in out[0]:
        torch.testing.assert_close(channel, torch.tensor([[0.0, 0.2], [0.4, 1.0]]))


def test_float_slices_keep_their_fractions():
    out = run(SliceDataPreprocessor('none'), torch.tensor([[[0.5, 127.5]]]))
    torch.testing.assert_close(out[0, 0], torch.tensor([[0.5 / 255, 0.5]]))


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_slice(dtype):
    values = [v / 255 for row in GREY for v in row]
    mean = sum(values) / 4
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / 3)  # unbiased
    expected = torch.tensor([[(v / 255 - mean) / std for v in row] for row in GREY])
    out = run(SliceDataPreprocessor('slice'), grey(dtype), grey(dtype) // 2)
    for channel in out[0]:
        torch.testing.assert_close(channel, expected)
    torch.testing.assert_close(out[1].mean(), torch.tensor(0.0), rtol=0, atol=1e-6)  # each slice by its own values


@pytest.mark.parametrize('level', [0, 1, 77, 200, 255])
@pytest.mark.parametrize('side', [2, 37, 512])
def test_a_slice_without_contrast_becomes_zero(level, side):
    out = run(SliceDataPreprocessor('slice'), torch.full((1, side, side), level, dtype=torch.uint8))
    assert (out == 0).all()


def test_global():
    out = run(SliceDataPreprocessor('global', mean=0.3, std=0.2), grey())
    expected = torch.tensor([[(v / 255 - 0.3) / 0.2 for v in row] for row in GREY])
    for channel in out[0]:
        torch.testing.assert_close(channel, expected)


def test_statistics_file(tmp_path):
    path = tmp_path / 'statistics.json'
    path.write_text(json.dumps(dict(mean=0.25, std=0.5, num_slices=3, source='slices_train.json')))
    out = run(SliceDataPreprocessor(statistics=str(path)), grey())
    torch.testing.assert_close(out[0, 0, 1, 1], torch.tensor(1.5))
    # Given values take precedence over the file's.
    given = SliceDataPreprocessor(statistics=str(path), mean=0.0, std=1.0)
    torch.testing.assert_close(run(given, grey())[0, 0, 1, 1], torch.tensor(1.0))


@pytest.mark.parametrize(
    'content',
    [
        '',
        '{',
        '[]',
        '{"mean": 0.1}',
        '{"mean": "a", "std": 1}',
        '{"mean": 0.1, "std": 0}',
        '{"mean": NaN, "std": 1}',
        '{"mean": 0.1, "std": -1}',
        '{"mean": 0.1, "std": null}',
    ],
)
def test_bad_statistics_file(tmp_path, content):
    path = tmp_path / 'statistics.json'
    path.write_text(content)
    with pytest.raises(ValueError, match='statistics.json'):
        SliceDataPreprocessor(statistics=str(path))


def test_unknown_statistics_are_an_error_only_when_needed(tmp_path):
    missing = str(tmp_path / 'none.json')
    unknown = SliceDataPreprocessor(statistics=missing)
    with pytest.raises(ValueError, match='none.json does not exist. Compute them with mmaffinity statistics CONFIG'):
        run(unknown, grey())
    # A checkpoint contains them, and takes precedence over the config.
    source = SliceDataPreprocessor(mean=0.3, std=0.2)
    assert set(source.state_dict()) == {'mean', 'std'}
    for target in (unknown, SliceDataPreprocessor(mean=0.9, std=0.9)):
        target.load_state_dict(source.state_dict())
        assert torch.equal(run(target, grey()), run(source, grey()))


def test_missing_statistics_are_reported():
    with pytest.raises(ValueError, match='mean and std of the training set are unknown: the config sets neither'):
        run(SliceDataPreprocessor(), grey())


def test_set_statistics():
    preprocessor = SliceDataPreprocessor()
    assert preprocessor.needs_statistics
    preprocessor.set_statistics(0.3, 0.2)
    assert not preprocessor.needs_statistics
    assert torch.equal(run(preprocessor, grey()), run(SliceDataPreprocessor(mean=0.3, std=0.2), grey()))
    for values in ((0.3, 0.0), (float('nan'), 0.2), (0.3, float('nan')), (0.3, float('inf'))):
        with pytest.raises(ValueError, match='must be finite, and std positive'):
            preprocessor.set_statistics(*values)
    other = SliceDataPreprocessor('slice')
    assert not other.needs_statistics
    with pytest.raises(ValueError, match="normalization='slice' does not use the mean"):
        other.set_statistics(0.3, 0.2)


@pytest.mark.parametrize('normalization', ['slice', 'none'])
def test_other_normalisations_store_no_statistics(normalization):
    assert not SliceDataPreprocessor(normalization).state_dict()


def test_batch_and_meta():
    slices = images(3, 32)
    preprocessor = SliceDataPreprocessor('slice', num_channels=1)
    samples = [slice_sample(size=32) for _ in slices]
    data = preprocessor(dict(inputs=slices, data_samples=samples), training=True)
    assert data['inputs'].shape == (3, 1, 32, 32)
    for sample in data['data_samples']:
        assert sample.pad_shape == sample.batch_input_shape == (32, 32)
    together = data['inputs']
    stacked = preprocessor(dict(inputs=torch.stack(slices), data_samples=None))
    assert torch.equal(stacked['inputs'], together) and stacked['data_samples'] is None
    for i, image in enumerate(slices):
        assert torch.equal(run(preprocessor, image)[0], together[i])


def test_slices_of_different_sizes_are_rejected():
    with pytest.raises(ValueError, match=r'differ in size: \[\(1, 2, 2\), \(1, 2, 3\)\] .*slice.png.*Resize'):
        run(SliceDataPreprocessor('none'), grey(), torch.zeros(1, 2, 3))


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(normalization='batch'), "normalization must be one of .*, not 'batch'"),
        (dict(mean=0.5), 'set both mean and std, or neither: mean is 0.5, std is None'),
        (dict(std=0.5), 'set both'),
        (dict(mean=0.5, std=0.0), 'std must be positive, not 0.0'),
        (dict(mean=0.5, std=float('nan')), 'std must be positive'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SliceDataPreprocessor(**kwargs)


def test_colour_images_keep_their_channels():
    image = torch.arange(3 * 8 * 8, dtype=torch.uint8).view(3, 8, 8)
    out = SliceDataPreprocessor(mean=0.5, std=0.25, num_channels=3)(dict(inputs=[image, image]))['inputs']
    assert torch.allclose(out, ((image / 255 - 0.5) / 0.25).expand(2, -1, -1, -1))
    with pytest.raises(ValueError, match='images have 3 channels, but num_channels of SliceDataPreprocessor is 1'):
        SliceDataPreprocessor(mean=0.5, std=0.25, num_channels=1)(dict(inputs=[image]))
