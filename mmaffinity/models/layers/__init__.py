"""Pure tensor modules of the affinity layer, which depend only on torch."""

from .affinity_mapping import AffinityMapping, AffinityOutput
from .roi_norm import RoIBatchNorm2d, RoIGroupNorm, build_roi_norm
from .roi_refinement import RefinementStage, RoIRefinement
from .roi_vectorization import RoIVectorization
from .slice_batch_norm import SliceBatchNorm2d

__all__ = [
    'AffinityMapping',
    'AffinityOutput',
    'RefinementStage',
    'RoIBatchNorm2d',
    'RoIGroupNorm',
    'RoIRefinement',
    'RoIVectorization',
    'SliceBatchNorm2d',
    'build_roi_norm',
]
