"""Training and testing: hooks, guards of a run, distributed processes and resuming."""
import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .guards import add_guards
from .hooks import (
    AlternatingLossHook,
    CheckpointGuardHook,
    EpochSeedHook,
    FiniteLossHook,
    GreyLevelStatisticsHook,
    LoaderWorkersHook,
    MemoryHook,
    NormSyncHook,
    SliceVisualizationHook,
    TestFiguresHook,
    TestPageHook,
    UnreadableSlicesHook,
    WholeCheckpointHook,
)
from .processes import join_processes
from .resuming import newest_whole_checkpoint

__all__ = [
    'AlternatingLossHook', 'CheckpointGuardHook', 'EpochSeedHook', 'FiniteLossHook', 'GreyLevelStatisticsHook',
    'LoaderWorkersHook', 'MemoryHook', 'NormSyncHook', 'SliceVisualizationHook', 'TestFiguresHook', 'TestPageHook',
    'UnreadableSlicesHook', 'WholeCheckpointHook', 'add_guards', 'join_processes', 'newest_whole_checkpoint'
]
