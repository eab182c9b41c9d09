"""Hooks of training and testing."""

from .alternating_loss_hook import AlternatingLossHook
from .bfloat16_hook import Bfloat16Hook, computes_bfloat16
from .checkpoint_guard_hook import CheckpointGuardHook
from .epoch_seed_hook import EpochSeedHook
from .finite_loss_hook import FiniteLossHook
from .grey_level_statistics_hook import GreyLevelStatisticsHook
from .loader_workers_hook import LoaderWorkersHook
from .memory_hook import MemoryHook
from .norm_sync_hook import NormSyncHook
from .slice_visualization_hook import SliceVisualizationHook
from .test_figures_hook import TestFiguresHook
from .test_page_hook import TestPageHook
from .unreadable_slices_hook import UnreadableSlicesHook
from .whole_checkpoint_hook import WholeCheckpointHook

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
    'SliceVisualizationHook',
    'TestFiguresHook',
    'TestPageHook',
    'UnreadableSlicesHook',
    'WholeCheckpointHook',
    'computes_bfloat16',
]
