"""Random changes in sharpness and noise."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomKernel(BaseTransform):
    """Randomly smooth a slice or add noise, as if it had been reconstructed with another kernel or acquired at another dose.

    Sharp kernels and low doses give the lung a grainy texture, which a model trained on smooth slices misinterprets.

    Required and modified key: ``img``, shape (H, W) or (H, W, C), with grey levels from 0 to 255; its dtype is kept.

    Args:
        prob: probability that a slice is changed, 0 to 1. Half of the changes smooth the slice, the others add noise.
        max_sigma: largest standard deviation of the Gaussian filter, in pixels.
        max_noise: largest standard deviation of the noise, in grey levels. The noise is Gaussian, independent between pixels,
            and the same in every channel.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, prob: float = 0.5, max_sigma: float = 1.5, max_noise: float = 30) -> None:
        if not (0 <= prob <= 1 and max_sigma >= 0 and max_noise >= 0):
            raise ValueError(
                f'RandomKernel(prob={prob}, max_sigma={max_sigma}, max_noise={max_noise}): prob must be between 0 and 1, '
                'max_sigma and max_noise at least 0'
            )
        self.prob = prob
        self.max_sigma = max_sigma
        self.max_noise = max_noise

    @cache_randomness
    def _kernel(self) -> tuple[float, float, int]:
        # Always drawn, so that later transforms see the same random numbers whether or not this slice is changed.
        changed, strength = np.random.rand(2)
        seed = np.random.randint(2**31)
        if changed >= self.prob:
            return 0, 0, seed
        smooth = changed < self.prob / 2
        return strength * self.max_sigma * smooth, strength * self.max_noise * (not smooth), seed

    def transform(self, results: dict) -> dict:
        """Change the sharpness or noise of ``img``."""
        sigma, noise, seed = self._kernel()
        img = results['img']
        if sigma:
            results['img'] = cv2.GaussianBlur(img, (0, 0), sigma).reshape(img.shape)
        elif noise:
            grain = np.random.default_rng(seed).standard_normal(img.shape[:2], dtype=np.float32) * np.float32(noise)
            levels = np.clip(img + grain.reshape(*img.shape[:2], *[1] * (img.ndim - 2)), 0, 255)
            results['img'] = (np.rint(levels) if img.dtype == np.uint8 else levels).astype(img.dtype)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, max_sigma={self.max_sigma}, max_noise={self.max_noise})'
