"""Pure tensor modules of the affinity layer; they know torch only."""
from .affinity_mapping import AffinityMapping, AffinityOutput
from .roi_refinement import RefinementStage, RoIRefinement
from .roi_vectorization import RoIVectorization
from .slice_batch_norm import SliceBatchNorm2d

__all__ = ['AffinityMapping', 'AffinityOutput', 'RefinementStage', 'RoIRefinement', 'RoIVectorization',
           'SliceBatchNorm2d']
