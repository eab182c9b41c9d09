"""What drives training and testing: hooks."""
from .hooks import AlternatingLossHook, CheckpointGuardHook, SliceVisualizationHook, TestFiguresHook

__all__ = ['AlternatingLossHook', 'CheckpointGuardHook', 'SliceVisualizationHook', 'TestFiguresHook']
