"""Decode, compare and rank the boxes of a whole batch, with shapes that do not depend on the data."""

import math
from typing import NamedTuple

import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import Tensor, nn

from mmaffinity.models import LogitRankedRPNHead, WeightedBoxCoder

from .operations import best, kept_by_nms


class Proposals(NamedTuple):
    """RPN results of N slices, P slots each.

    Attributes:
        boxes: x1 y1 x2 y2 in pixels, by decreasing objectness, shape (N, P, 4).
        logits: objectness, shape (N, P).
        valid: which slots are filled, always the first ones of a slice, shape (N, P); None if all are.
    """

    boxes: Tensor
    logits: Tensor
    valid: Tensor | None


class BoxDecoder(nn.Module):
    """:meth:`DeltaXYWHBBoxCoder.decode` for any leading dimensions, with the same operations in the same order.

    Args:
        coder: the coder of a head.
        height, width: size of the slice in pixels, to which boxes are clipped.

    Raises:
        ValueError: if the coder's type or settings are not supported.
    """

    def __init__(self, coder: DeltaXYWHBBoxCoder, height: int, width: int) -> None:
        super().__init__()
        if type(coder) not in (DeltaXYWHBBoxCoder, WeightedBoxCoder) or coder.add_ctr_clamp or not coder.clip_border:
            raise ValueError(
                f'a bbox_coder of type {type(coder).__name__} with these settings cannot be exported; use '
                'DeltaXYWHBBoxCoder or WeightedBoxCoder'
            )
        self.register_buffer('means', torch.tensor(coder.means, dtype=torch.float32))
        self.register_buffer('stds', torch.tensor(coder.stds, dtype=torch.float32))
        weights = getattr(coder, 'weights', None)
        self.register_buffer('weights', None if weights is None else torch.tensor(weights, dtype=torch.float32))
        self.max_ratio = abs(math.log(16 / 1000))
        self.register_buffer('border', torch.tensor([width, height, width, height], dtype=torch.float32))

    def forward(self, boxes: Tensor, deltas: Tensor) -> Tensor:
        """Decode deltas (..., 4) relative to boxes (..., 4), x1 y1 x2 y2 in pixels; both broadcast."""
        deltas = deltas if self.weights is None else deltas / self.weights
        deltas = deltas * self.stds + self.means
        size = boxes[..., 2:] - boxes[..., :2]
        centre = (boxes[..., :2] + boxes[..., 2:]) * 0.5 + size * deltas[..., :2]
        half = size * deltas[..., 2:].clamp(-self.max_ratio, self.max_ratio).exp() * 0.5
        decoded = torch.cat([centre - half, centre + half], -1)
        return torch.minimum(decoded.clamp(min=0), self.border)


class ProposalLayer(nn.Module):
    """:class:`LogitRankedRPNHead` at test time, for one feature level.

    Args:
        head: the RPN head.
        height, width: size of the slice in pixels.
        map_size: height and width of the feature map.

    Raises:
        ValueError: if the head's type or settings cannot be exported.
    """

    def __init__(self, head: nn.Module, height: int, width: int, map_size: tuple[int, int]) -> None:
        super().__init__()
        if type(head) is not LogitRankedRPNHead:
            raise ValueError(f'an rpn_head of type {type(head).__name__} cannot be exported, only LogitRankedRPNHead')
        cfg = head.test_cfg
        if cfg.get('min_bbox_size', -1) >= 0 or cfg.nms.get('type', 'nms') != 'nms':
            raise ValueError(f'the RPN can only be exported with min_bbox_size=-1 and nms of type "nms", not {dict(cfg)}')
        self.head = head
        self.register_buffer('anchors', head.prior_generator.grid_priors([map_size], device='cpu')[0])
        self.decode = BoxDecoder(head.bbox_coder, height, width)
        num_anchors = len(self.anchors)
        self.num_ranked = min(cfg.nms_pre, num_anchors) if cfg.get('nms_pre', -1) > 0 else num_anchors
        self.num_kept = min(cfg.max_per_img, self.num_ranked)
        # No IoU exceeds 1, so such a threshold suppresses nothing.
        self.iou_threshold = cfg.nms.iou_threshold if cfg.nms.iou_threshold < 1 else None

    def forward(self, features: Tensor) -> Proposals:
        """Map features (N, C, H, W) to proposals."""
        (logits,), (deltas,) = self.head((features,))
        logits = logits.permute(0, 2, 3, 1).flatten(1)
        deltas = deltas.permute(0, 2, 3, 1).reshape(features.shape[0], -1, 4)
        logits, index = best(logits, self.num_ranked)
        boxes = self.decode(self.anchors[index], take(deltas, index))
        if self.iou_threshold is None:
            return Proposals(boxes[:, : self.num_kept], logits[:, : self.num_kept], None)
        order = descending(logits)
        kept = kept_by_nms(boxes, order, self.iou_threshold, self.num_kept)
        index, valid = compact(kept, order, self.num_kept)
        return Proposals(take(boxes, index), logits.gather(1, index), valid)


def take(values: Tensor, index: Tensor) -> Tensor:
    """Gather rows (N, k, C) of values (N, P, C) by index (N, k)."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))


def descending(values: Tensor) -> Tensor:
    """Return P, P - 1, ..., 1 in each row of (N, P): priorities for a list that is already ranked."""
    count = torch.arange(values.shape[1], 0, -1, dtype=values.dtype)
    return count.expand(values.shape[0], -1)


def compact(kept: Tensor, order: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Move the kept entries of ranked lists to the front.

    Args:
        kept: 1 or 0, shape (N, P).
        order: see :func:`descending`.
        number: maximum number of entries k of the result.

    Returns:
        Their indices in order, and which of these are kept, both of shape (N, k).
    """
    values, index = best(kept * order, min(number, order.shape[1]))
    return index, values > 0
