"""What the classification branch hands to a slice head."""
from dataclasses import dataclass

from torch import Tensor


@dataclass
class RankedRoIs:
    """The beta best RoIs of each of N slices, best first.

    Attributes:
        boxes: decoded and clipped boxes, x1 y1 x2 y2 in pixels of the network's input, shape (N, beta, 4).
        scores: lesion probabilities, shape (N, beta).
        deltas: raw regression output of the box head for the lesion class (not decoded), shape (N, beta, 4).
        mask_features: output of MaskPrediction(C), shape (N, beta, C, H, W); None if the slice head does not read them.
    """

    boxes: Tensor
    scores: Tensor
    deltas: Tensor
    mask_features: Tensor | None = None
