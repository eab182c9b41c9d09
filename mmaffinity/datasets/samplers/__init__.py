"""Samplers, which set the order of training slices."""

from .alternating_sampler import AlternatingBatchSampler, AlternatingSampler

__all__ = ['AlternatingBatchSampler', 'AlternatingSampler']
