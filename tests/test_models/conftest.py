"""Fixtures shared by the tests of the models."""

import pytest
import torch


@pytest.fixture(scope='module')
def one_thread():
    """For narrow models: their layers gain nothing from threads, which only wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
