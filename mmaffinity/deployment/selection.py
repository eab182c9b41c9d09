"""Select the RoIs that classify each slice of a batch, with fixed shapes."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor, nn

from mmaffinity.models import SoftRoISelector, TopRoISelector

from .boxes import Proposals, compact, descending, take
from .operations import best, kept_by_nms


class Selection(NamedTuple):
    """The RoIs of N slices.

    Attributes:
        boxes: x1 y1 x2 y2 in pixels, shape (N, M, 4).
        index: indices of their proposals, shape (N, M).
        rank_weights: weight of each RoI at each rank (see :class:`SoftRoISelector`), shape (N, M, beta); None for a list.
    """

    boxes: Tensor
    index: Tensor
    rank_weights: Tensor | None


class SoftSelection(nn.Module):
    """:class:`SoftRoISelector` for a batch: the same formulas without infinities, which would have weight 0.

    Args:
        selector: provides the settings.
        num_proposals: P, the number of proposals per slice.

    Raises:
        ValueError: if there are fewer proposals than candidates.
    """

    def __init__(self, selector: SoftRoISelector, num_proposals: int) -> None:
        super().__init__()
        if num_proposals <= selector.num_candidates:
            raise ValueError(f'{num_proposals} proposals are too few to export a selection of {selector.num_candidates}')
        self.num_rois, self.num_candidates = selector.num_rois, selector.num_candidates
        self.nms_iou, self.sharpness = selector.nms_iou, selector.sharpness
        self.register_buffer('same_box', torch.eye(num_proposals))
        self.register_buffer('places', torch.arange(self.num_rois, dtype=torch.float32))

    def forward(self, boxes: Tensor, logits: Tensor, proposals: Proposals) -> Selection:
        """Weight boxes (N, P, 4) by their lesion log-odds (N, P)."""
        objectness = proposals.logits.sigmoid()
        quality = (1 - objectness[:, -1:] / objectness.clamp(min=1e-38)).clamp(min=0)
        quality = quality * ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])).clamp(max=1)
        log_quality, log_rest = quality.clamp(min=1e-38).log(), (1 - quality).clamp(min=1e-38).log()
        log_votes = self.sharpness * (log_quality + logits - F.softplus(logits + log_rest))
        same = torch.maximum((bbox_overlaps(boxes, boxes) / (2 * self.nms_iou)).clamp(max=1), self.same_box)
        better = log_votes[:, None] - log_votes[:, :, None]
        share = 1 / (same * better.clamp(max=80).exp()).sum(2)
        weights = quality * logits.sigmoid() * share
        rank = ((1 - same) * weights[:, None] * better.sigmoid()).sum(2)
        rank_weights = weights[..., None] * (1 - (rank[..., None] - self.places).abs()).clamp(min=0)

        total, index = best(rank_weights.sum(2), self.num_candidates + 1)
        threshold, total, index = total[:, -1:], total[:, :-1], index[:, :-1]
        fade = (1 - threshold / total.clamp(min=1e-38)).clamp(min=0)
        return Selection(take(boxes, index), index, take(rank_weights, index) * fade[..., None])


class TopSelection(nn.Module):
    """:class:`TopRoISelector` for a batch.

    Args:
        selector: provides the settings.

    Raises:
        ValueError: if the selector draws RoIs at random or in an undefined order.
    """

    def __init__(self, selector: TopRoISelector) -> None:
        super().__init__()
        if selector.stretch != 'even' or selector.ties != 'index':
            raise ValueError(
                f"the RoI selection can only be exported with stretch='even' and ties='index', not "
                f'{selector.stretch!r} and {selector.ties!r}'
            )
        self.num_rois, self.nms_iou, self.min_area = selector.num_rois, selector.nms_iou, selector.min_area
        self.register_buffer('places', torch.arange(selector.num_rois))

    def forward(self, boxes: Tensor, scores: Tensor, proposals: Proposals) -> Selection:
        """Select among boxes (N, P, 4) by their lesion probabilities (N, P)."""
        valid = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]) > self.min_area
        if proposals.valid is not None:
            valid = valid & proposals.valid
        scores, order = best(torch.where(valid, scores, -1.0), scores.shape[1])
        priority = descending(scores) * (scores >= 0)
        kept = kept_by_nms(take(boxes, order), priority, self.nms_iou, self.num_rois)
        chosen, filled = compact(kept, priority, self.num_rois)
        chosen, number = order.gather(1, chosen), filled.sum(1, keepdim=True)
        # A short list is padded with repeats; an empty one is replaced by the best proposals.
        chosen = chosen.gather(1, self._stretched(number))
        source = proposals.boxes.shape[1] if proposals.valid is None else proposals.valid.sum(1, keepdim=True)
        fallback = self._stretched(torch.zeros_like(number) + source)
        index = torch.where(number > 0, chosen, fallback)
        return Selection(torch.where((number > 0)[..., None], take(boxes, index), take(proposals.boxes, index)), index, None)

    def _stretched(self, number: Tensor) -> Tensor:
        """Return indices into lists of n boxes, n of shape (N, 1), that fill beta slots, shape (N, beta)."""
        return torch.where(number >= self.num_rois, self.places, self.places * number // self.num_rois)
