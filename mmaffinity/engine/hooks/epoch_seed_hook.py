"""Make random numbers depend only on seed, epoch and process."""

import random

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed all random generators at the start of each epoch from the run's seed, the epoch and the rank of the process.

    Anchors and RoIs are sampled with torch's global generator. With a seed per epoch, a resumed run draws the same numbers as
    an uninterrupted one, with or without validation and testing in between, and no generator state needs to be stored. The
    number of loader workers matters only to random transforms, which run in the workers.
    """

    # Runs before anything else draws random numbers at the start of an epoch.
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed Python's, NumPy's and torch's generators."""
        state = np.random.SeedSequence([int(runner.seed), runner.epoch, get_rank()]).generate_state(3)
        random.seed(int(state[0]))
        np.random.seed(int(state[1]))
        torch.manual_seed(int(state[2]))
        # A loader draws a seed when it starts its workers: in each epoch, or once if they are persistent. Drawing it from the
        # global generator would shift the numbers of some epochs.
        runner.train_dataloader.generator = torch.Generator().manual_seed(int(torch.empty((), dtype=torch.int64).random_()))
