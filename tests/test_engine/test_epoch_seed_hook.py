"""Random numbers of an epoch."""
import random
from types import SimpleNamespace

import numpy as np
import torch

from mmaffinity.engine import EpochSeedHook


def draws(seed, epoch):
    EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch))
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_draws_depend_on_seed_and_epoch_alone():
    first = draws(0, 3)
    torch.rand(100)
    assert draws(0, 3) == first
    others = {draws(0, 4), draws(1, 3), draws(3, 0)}
    assert len(others) == 3 and first not in others
    assert len(set(first)) == 3
