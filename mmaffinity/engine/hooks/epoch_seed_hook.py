"""Random numbers that depend only on the seed, epoch and process, not on what happened before."""

import random

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed all random generators at the start of each epoch from the run's seed, the epoch and the process's rank.

    The sampling of anchors and RoIs draws from torch's global generator. With a seed per epoch, a resumed run draws the
    same numbers as an uninterrupted one, with or without validation and testing in between, and no generator state needs to be
    stored. The number of loader workers makes no difference either, except to transforms that draw random numbers: they draw
    in the workers.
    """

    # Before anything else at the start of an epoch draws random numbers.
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed Python's, NumPy's and torch's generators."""
        state = np.random.SeedSequence([int(runner.seed), runner.epoch, get_rank()]).generate_state(3)
        random.seed(int(state[0]))
        np.random.seed(int(state[1]))
        torch.manual_seed(int(state[2]))
        # A loader draws the seed of its workers when it starts them: each epoch, or once if they are persistent. From the
        # global generator, that would shift the numbers of some epochs.
        runner.train_dataloader.generator = torch.Generator().manual_seed(int(torch.empty((), dtype=torch.int64).random_()))
