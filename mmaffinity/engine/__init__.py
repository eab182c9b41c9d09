"""Training and testing: hooks, loops, distributed processes and resuming."""

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

from .guards import missing_guards
from .hooks import (
    AlternatingLossHook,
    Bfloat16Hook,
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
    computes_bfloat16,
)
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
    'TestFiguresHook',
    'TestPageHook',
    'UnreadableSlicesHook',
    'WholeCheckpointHook',
    'computes_bfloat16',
    'join_processes',
    'missing_guards',
    'newest_whole_checkpoint',
]
