"""Random numbers of an epoch."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmaffinity.engine import EpochSeedHook


def draws(seed, epoch):
    EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch, train_dataloader=DataLoader([0])))
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_draws_depend_only_on_seed_and_epoch():
    first = draws(0, 3)
    torch.rand(100)
    assert draws(0, 3) == first
    others = {draws(0, 4), draws(1, 3), draws(3, 0)}
    assert len(others) == 3 and first not in others
    assert len(set(first)) == 3


@pytest.mark.parametrize('workers', [dict(num_workers=1), dict(num_workers=1, persistent_workers=True)])
def test_draws_do_not_depend_on_the_loader_workers(workers):
    def run(**settings):
        loader = DataLoader([0, 1], **settings)
        drawn = []
        for epoch in range(3):
            EpochSeedHook().before_train_epoch(SimpleNamespace(seed=0, epoch=epoch, train_dataloader=loader))
            drawn += [float(torch.rand(())) for _ in loader]
        return drawn

    alone = run()
    assert len(set(alone)) == 6
    assert run(**workers) == alone
