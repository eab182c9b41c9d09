"""The input of a slice head, computed by the classification branch."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class RankedRoIs:
    """The RoIs used to classify N slices: the beta best of each, best first, or M weighted candidates.

    For a slice head with ``with_slice_roi``, the whole slice follows them as one more RoI: its box is the network's input, its
    score is 1, its deltas are 0, and it has no rank weights.

    Attributes:
        boxes: decoded and clipped boxes, x1 y1 x2 y2 in pixels of the network's input, shape (N, beta, 4). For candidates, M
            replaces beta here and below.
        scores: lesion probabilities, shape (N, beta).
        deltas: raw regression output of the box head for the lesion class (not decoded), shape (N, beta, 4).
        mask_features: output of MaskPrediction(C), shape (N, beta, C, H, W); None if the slice head does not read it.
        rank_weights: weight of each candidate at each rank, shape (N, M, beta) (see :class:`SoftRoISelector`); None if the
            k-th RoI has rank k.
    """

    boxes: Tensor
    scores: Tensor
    deltas: Tensor
    mask_features: Tensor | None = None
    rank_weights: Tensor | None = None
