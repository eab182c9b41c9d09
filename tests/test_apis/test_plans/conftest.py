"""A plan of two runs."""

import pytest
from plan_helpers import TWO, write_plan

from mmaffinity.apis.plans import read_plan


@pytest.fixture
def two(tmp_path, tiny_phantom):
    return read_plan(write_plan(tmp_path / 'two.py', TWO), tiny_phantom)
