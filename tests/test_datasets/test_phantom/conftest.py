"""A phantom, written once; tests that change files copy it."""

import pytest
from phantom_helpers import SMALL

from mmaffinity.datasets.phantom.writer import write_phantom


@pytest.fixture(scope='session')
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'phantom'
    return folder, write_phantom(folder, **SMALL)
