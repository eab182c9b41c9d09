"""Order in which training slices are drawn."""
from .alternating_sampler import AlternatingBatchSampler, AlternatingSampler

__all__ = ['AlternatingBatchSampler', 'AlternatingSampler']
