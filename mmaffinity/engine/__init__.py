"""Training and testing: hooks, loops, distributed processes, resuming."""

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .guards import missing_guards
from .hooks.alternating_loss_hook import AlternatingLossHook
from .hooks.bfloat16_hook import Bfloat16Hook, computes_bfloat16, train_in_bfloat16
from .hooks.checkpoint_guard_hook import CheckpointGuardHook
from .hooks.epoch_seed_hook import EpochSeedHook
from .hooks.finite_loss_hook import FiniteLossHook
from .hooks.grey_level_statistics_hook import GreyLevelStatisticsHook
from .hooks.loader_workers_hook import LoaderWorkersHook
from .hooks.memory_hook import MemoryHook
from .hooks.norm_sync_hook import NormSyncHook
from .hooks.page_pictures_hook import PagePicturesHook
from .hooks.slice_visualization_hook import SliceVisualizationHook
from .hooks.unreadable_slices_hook import UnreadableSlicesHook
from .hooks.whole_checkpoint_hook import WholeCheckpointHook
from .loops import SliceTestLoop, SliceTrainLoop, SliceValLoop
from .processes import join_processes
from .resuming import newest_whole_checkpoint

__all__ = [
    'AlternatingLossHook',
    'Bfloat16Hook',
    'CheckpointGuardHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'GreyLevelStatisticsHook',
    'LoaderWorkersHook',
    'MemoryHook',
    'NormSyncHook',
    'SliceTestLoop',
    'SliceTrainLoop',
    'SliceValLoop',
    'SliceVisualizationHook',
    'PagePicturesHook',
    'UnreadableSlicesHook',
    'WholeCheckpointHook',
    'computes_bfloat16',
    'join_processes',
    'missing_guards',
    'newest_whole_checkpoint',
    'train_in_bfloat16',
]
