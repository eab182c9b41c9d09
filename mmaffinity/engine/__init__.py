"""What drives training and testing: hooks."""
from .hooks import AlternatingLossHook, CheckpointGuardHook, EpochSeedHook, SliceVisualizationHook, TestFiguresHook

__all__ = ['AlternatingLossHook', 'CheckpointGuardHook', 'EpochSeedHook', 'SliceVisualizationHook', 'TestFiguresHook']
