"""Convert Hounsfield units to the grey levels used in training."""

import math
from dataclasses import dataclass

import numpy as np

AIR = -1000.0  # HU
LOWEST = -1024.0  # HU; scanners store no lower value for a measured pixel


@dataclass(frozen=True)
class Window:
    """A Hounsfield window.

    Attributes:
        level: HU of middle grey.
        width: range in HU from black to white.
    """

    level: float = -600.0
    width: float = 1500.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.level) and math.isfinite(self.width) and self.width > 0):
            raise ValueError(f'window level {self.level} and width {self.width} HU: both must be finite, the width above 0')

    @property
    def low(self) -> float:
        return self.level - self.width / 2

    def grey(self, hu: float) -> float:
        """Return the grey level of a value, 0 to 255, without rounding."""
        return min(max((hu - self.low) * 255 / self.width, 0.0), 255.0)

    def apply(self, hu: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """Convert a slice to 8-bit grey levels like those of the training slices.

        Values below -1024 HU and non-finite values are outside the field of view and become air.

        Args:
            hu: shape (H, W), Hounsfield units.

        Returns:
            uint8 (H, W), and notes on replaced values.

        Raises:
            ValueError: if no value is finite.
        """
        hu = np.asarray(hu, dtype=np.float64)
        finite = np.isfinite(hu)
        num_bad = hu.size - int(np.count_nonzero(finite))
        if num_bad == hu.size:
            raise ValueError('has no finite value: every pixel is NaN or infinite')
        notes = ()
        if num_bad:
            notes = (f'{num_bad} pixels are NaN or infinite and were treated as air',)
        hu = np.where(finite & (hu >= LOWEST), hu, AIR)
        grey = (np.clip(hu, self.low, self.low + self.width) - self.low) * (255 / self.width)
        return np.rint(np.clip(grey, 0, 255)).astype(np.uint8), notes


TRAINING_WINDOW = Window()
