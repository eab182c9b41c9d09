"""Normalisation in the exported graph, against the preprocessor and float64."""

import numpy as np
import pytest
import torch

from mmaffinity.deployment.normalization import Normalization
from mmaffinity.models import SliceDataPreprocessor


@pytest.fixture
def slices():
    """Grey levels, of which one slice is blank."""
    found = torch.randint(0, 256, (3, 1, 9, 12), generator=torch.Generator().manual_seed(0)).float()
    found[1] = 77
    return found


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize(
    'settings', [dict(mean=0.4, std=0.25), dict(normalization='slice'), dict(normalization='none')], ids=str
)
def test_equals_the_preprocessor(slices, settings, channels):
    preprocessor = SliceDataPreprocessor(num_channels=channels, **settings)
    expected = preprocessor(dict(inputs=list(slices), data_samples=None))['inputs']
    found = Normalization(preprocessor)(slices)
    assert found.shape == (3, channels, 9, 12)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_each_slice_has_its_own_mean_and_deviation(slices):
    found = Normalization(SliceDataPreprocessor(normalization='slice', num_channels=1))(slices)
    for grey, normalised in zip(slices.double().numpy(), found.numpy()):
        std = grey.std(ddof=1)
        np.testing.assert_allclose(normalised, (grey - grey.mean()) / std if std else 0 * grey, atol=1e-5)
