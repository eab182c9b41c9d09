"""Pure tensor modules of the affinity layer, which depend only on torch."""
from .affinity_mapping import AffinityMapping, AffinityOutput
from .conv_norm import conv_norm
from .folding import FoldedUpConv, fold_up_down, splits_into_blocks, upsample_blocks
from .roi_norm import RoIGroupNorm, build_roi_norm
from .roi_refinement import RefinementStage, RoIRefinement
from .roi_vectorization import RoIVectorization
from .slice_batch_norm import SliceBatchNorm2d

__all__ = ['AffinityMapping', 'AffinityOutput', 'FoldedUpConv', 'RefinementStage', 'RoIGroupNorm', 'RoIRefinement',
           'RoIVectorization', 'SliceBatchNorm2d', 'build_roi_norm', 'conv_norm', 'fold_up_down', 'splits_into_blocks',
           'upsample_blocks']
