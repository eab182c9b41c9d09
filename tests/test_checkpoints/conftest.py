"""The tensors of a published checkpoint."""

import pytest
from published_helpers import published_weights


@pytest.fixture(scope='module')
def all_weights():
    return published_weights()


@pytest.fixture
def weights(all_weights):
    return dict(all_weights)  # tensors are never changed in place
