"""Judge whether values are Hounsfield units of a chest, by their shares of air and soft tissue."""

import numpy as np

from .notes import WARNING
from .windowing import LOWEST

IMPLAUSIBLE = f'{WARNING}HU look implausible'
BELOW_TISSUE, AIR_BELOW = -100.0, -500.0  # HU; a chest without values below the second has no lungs
SOFT_TISSUE = (-200.0, 300.0)  # HU; fat to enhanced vessels
LEAST_AIR = 0.001  # of the pixels of a slice
LEAST_SOFT = 0.02  # of the pixels of a slice; real slices have about half, and below 0.01 when shifted by -1024
MIN_SHARE = 0.05  # share of air in a volume, around the body or in the lungs; fewer values are outliers
LEAST_RANGE = 100.0  # HU from lowest to highest value


class Tally:
    """Incremental counts of values, by which slices and volumes are judged.

    Attributes:
        low, high: range of all finite values.
    """

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self._lowest = np.inf  # lowest measured value
        self._total = self._measured = self._negative = self._air = self._soft = 0

    def add(self, hu: np.ndarray) -> 'Tally':
        """Count the values of a slice, except non-finite ones."""
        hu = hu[np.isfinite(hu)]
        if hu.size:
            self.low, self.high = min(self.low, float(hu.min())), max(self.high, float(hu.max()))
        self._total += hu.size
        hu = hu[hu >= LOWEST]  # lower values are not measurements but padding, as in the corners of many scans
        self._measured += hu.size
        self._lowest = min(self._lowest, float(hu.min(initial=np.inf)))
        self._negative += int(np.count_nonzero(hu < BELOW_TISSUE))
        self._air += int(np.count_nonzero(hu < AIR_BELOW))
        self._soft += int(np.count_nonzero((hu > SOFT_TISSUE[0]) & (hu < SOFT_TISSUE[1])))
        return self

    def _share(self, count: int) -> float:
        return count / max(self._measured, 1)

    @property
    def range(self) -> str:
        """The lowest and highest value as text."""
        return f'values from {self.low:g} to {self.high:g}'

    def doubt(self) -> str:
        """Return a note if a slice shows no air or no soft tissue; empty if it shows both."""
        if not self._total:
            return ''
        if self._measured and self._share(self._air) < LEAST_AIR:
            return (
                f'{IMPLAUSIBLE}: values from {self._lowest:g} to {self.high:g}, but no air (below {AIR_BELOW:g}), '
                'which every chest slice contains; are the rescale tags right?'
            )
        if self._share(self._soft) < LEAST_SOFT:
            below = 1 - self._measured / self._total
            shifted = below > MIN_SHARE
            share = f', {below:.0%} of them below {LOWEST:g}' if shifted else ''
            return (
                f'{IMPLAUSIBLE}: {self.range}{share}, but hardly any soft tissue ({SOFT_TISSUE[0]:g} to '
                f'{SOFT_TISSUE[1]:g}), which every chest slice contains; are '
                + (
                    'the stored values Hounsfield units already, and the rescale intercept wrong?'
                    if shifted
                    else 'the rescale tags right?'
                )
            )
        return ''

    def refusal(self) -> str:
        """Return why a volume is not a chest in Hounsfield units; empty if it may be one or has no finite value."""
        if not self._total:
            return ''
        advice = (
            '. Set the conversion (--rescale SLOPE INTERCEPT; --rescale 1 -1024 for 12-bit values that start at air), or '
            'predict PNG slices in a lung window'
        )
        if self.high - self.low < LEAST_RANGE:
            return f'has {self.range}: a mask or a rescaled volume, not Hounsfield units{advice}'
        if self._measured and self._share(self._negative) < MIN_SHARE:
            return (
                f'has {self.range}, fewer than 1 in 20 of them below {BELOW_TISSUE:g}: not Hounsfield units of a chest '
                f'(grey levels, a mask, another modality?){advice}'
            )
        if self._measured and self._share(self._air) < LEAST_AIR:
            return (
                f'has {self.range}, but no air (below {AIR_BELOW:g}): not a chest, or clipped to a soft-tissue '
                'window; export it without a window'
            )
        if self.high < SOFT_TISSUE[0]:
            return f'has {self.range}, but no soft tissue (above {SOFT_TISSUE[0]:g}): not Hounsfield units of a chest{advice}'
        return ''

    def doubt_of_volume(self) -> str:
        """Return a note if an accepted volume shows little air or soft tissue; empty if it shows enough."""
        if self._total and self._share(self._air) < MIN_SHARE:
            return f'{WARNING}{self.range}, fewer than 1 in 20 of them air (below {AIR_BELOW:g}): are these Hounsfield units?'
        return self.doubt()
