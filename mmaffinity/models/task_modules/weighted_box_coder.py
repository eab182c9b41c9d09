"""Box deltas scaled as in the published code."""

from collections.abc import Sequence
from typing import Any

from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import BaseBoxes
from torch import Tensor


@TASK_UTILS.register_module()
class WeightedBoxCoder(DeltaXYWHBBoxCoder):
    """:class:`DeltaXYWHBBoxCoder` that divides by weights instead of multiplying by standard deviations.

    Weights of 10, 10, 5, 5 correspond to deviations of 0.1, 0.1, 0.2, 0.2, but x / 10 and x * 0.1 round differently in float32.
    A box then differs in its last bit, and the published affinity layer, which normalises nine times, amplifies this to
    differences of 1e-3 in Y.

    Args:
        weights: weights of the deltas of x, y, width and height.
        kwargs: other arguments of :class:`DeltaXYWHBBoxCoder`.

    Raises:
        ValueError: if ``weights`` are not four positive numbers.
    """

    def __init__(self, weights: Sequence[float] = (10.0, 10.0, 5.0, 5.0), **kwargs: Any) -> None:
        if len(weights) != 4 or not all(weight > 0 for weight in weights):
            raise ValueError(f'weights must be four positive numbers, not {weights}')
        super().__init__(**{**kwargs, 'target_means': (0.0, 0.0, 0.0, 0.0), 'target_stds': (1.0, 1.0, 1.0, 1.0)})
        self.weights = tuple(weights)

    def encode(self, bboxes: Tensor | BaseBoxes, gt_bboxes: Tensor | BaseBoxes) -> Tensor:
        """Return weighted deltas from boxes to their ground truth, shape (N, 4)."""
        deltas = super().encode(bboxes, gt_bboxes)
        return deltas * deltas.new_tensor(self.weights)

    def decode(self, bboxes: Tensor | BaseBoxes, pred_bboxes: Tensor, *args: Any, **kwargs: Any) -> Tensor | BaseBoxes:
        """Return boxes, x1 y1 x2 y2 in pixels, of weighted deltas (..., 4), or (..., 4 K) for K classes."""
        weights = pred_bboxes.new_tensor(self.weights).repeat(pred_bboxes.shape[-1] // 4)
        return super().decode(bboxes, pred_bboxes / weights, *args, **kwargs)
