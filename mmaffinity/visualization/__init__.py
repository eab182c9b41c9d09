"""Drawings of slices, affinities and results, all marked for research use only."""
from .affinity_maps import draw_affinity
from .confusion import draw_confusion_matrix
from .overlays import draw_overlay, picture_scale
from .saving import save_figure, save_image, write_atomically
from .slice_visualizer import SliceVisualizer

__all__ = [
    'SliceVisualizer', 'draw_affinity', 'draw_confusion_matrix', 'draw_overlay', 'picture_scale', 'save_figure',
    'save_image', 'write_atomically'
]
