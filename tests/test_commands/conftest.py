"""A narrow model for the commands."""

import pytest
from scan_helpers import write_model


@pytest.fixture(scope='module')
def model(tmp_path_factory, repo_root):
    return write_model(tmp_path_factory.mktemp('model'), repo_root)
