"""Images and figures of slices, affinities and results, all marked for research use only; names are imported on first use."""

from typing import TYPE_CHECKING

from mmaffinity.utils.lazy import lazy_names

if TYPE_CHECKING:
    from .affinity_maps import draw_affinity
    from .confusion import draw_confusion_matrix
    from .overlays import draw_overlay, picture_scale
    from .saving import save_figure, save_image, write_atomically
    from .slice_visualizer import SliceVisualizer

__all__ = [
    'SliceVisualizer',
    'draw_affinity',
    'draw_confusion_matrix',
    'draw_overlay',
    'picture_scale',
    'save_figure',
    'save_image',
    'write_atomically',
]

# Predictions can be written without the drawing code, and drawn without MMDetection.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        'SliceVisualizer': 'slice_visualizer',
        'draw_affinity': 'affinity_maps',
        'draw_confusion_matrix': 'confusion',
        'draw_overlay': 'overlays',
        'picture_scale': 'overlays',
        'save_figure': 'saving',
        'save_image': 'saving',
        'write_atomically': 'saving',
    },
)
