"""Hooks of training and testing."""
from .alternating_loss_hook import AlternatingLossHook
from .checkpoint_guard_hook import CheckpointGuardHook
from .epoch_seed_hook import EpochSeedHook
from .slice_visualization_hook import SliceVisualizationHook
from .test_figures_hook import TestFiguresHook

__all__ = ['AlternatingLossHook', 'CheckpointGuardHook', 'EpochSeedHook', 'SliceVisualizationHook', 'TestFiguresHook']
