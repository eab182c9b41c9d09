"""Random changes of the grey-level window."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomWindow(BaseTransform):
    """Randomly shift and scale the grey-level window of a slice, as if another hospital had exported it.

    Slices exported as images have lost their Hounsfield units, and windows differ between sources. Values beyond the new window
    become black or white, which normalising each slice by its own mean and standard deviation does not undo.

    Required and changed key: ``img``, any shape, with grey levels from 0 to 255; its type is kept.

    Args:
        prob: probability that a slice is changed, 0 to 1.
        max_shift: largest shift of the window's centre, as a fraction of the grey scale, 0 to 0.5.
        max_scale: largest factor by which the window's width changes: 1.25 draws a factor from 0.8 to 1.25, log-uniformly.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, prob: float = 0.5, max_shift: float = 0.1, max_scale: float = 1.25) -> None:
        if not (0 <= prob <= 1 and 0 <= max_shift <= 0.5 and max_scale >= 1):
            raise ValueError(
                f'RandomWindow(prob={prob}, max_shift={max_shift}, max_scale={max_scale}): prob must be between 0 and 1, '
                'max_shift between 0 and 0.5, and max_scale at least 1'
            )
        self.prob = prob
        self.max_shift = max_shift
        self.max_scale = max_scale

    @cache_randomness
    def _window(self) -> tuple[float, float] | None:
        # Always drawn, so that later transforms see the same random numbers whether or not this slice is changed.
        changed, shift, scale = np.random.rand(3)
        if changed >= self.prob:
            return None
        width = 255 * self.max_scale ** (2 * scale - 1)
        return 127.5 + 255 * self.max_shift * (2 * shift - 1) - width / 2, width

    def transform(self, results: dict) -> dict:
        """Change the grey levels of ``img``."""
        window = self._window()
        if window is not None:
            img = results['img']
            lower, width = window
            levels = np.clip((img.astype(np.float32) - np.float32(lower)) * np.float32(255 / width), 0, 255)
            results['img'] = (np.rint(levels) if img.dtype == np.uint8 else levels).astype(img.dtype)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, max_shift={self.max_shift}, max_scale={self.max_scale})'
