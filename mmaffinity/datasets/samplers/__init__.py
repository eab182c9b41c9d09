"""Order of training slices."""

from .alternating_sampler import AlternatingBatchSampler, AlternatingSampler

__all__ = ['AlternatingBatchSampler', 'AlternatingSampler']
