"""A narrow model, and the features and proposals of two slices."""

import pytest
import torch
from model_helpers import batch, build_model, slice_sample


@pytest.fixture(scope='module')
def model():
    return build_model().eval()


@pytest.fixture(scope='module')
def features(model):
    data = model.data_preprocessor(batch(slice_sample(), slice_sample(), seed=3))
    with torch.no_grad():
        x = model.extract_feat(data['inputs'])
    return x, model._propose(x, data['data_samples']), data['data_samples']
