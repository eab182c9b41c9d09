"""Weighted RoIs for classifying a slice, instead of a hard selection."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor


class WeightedCandidates(NamedTuple):
    """Candidate RoIs of one slice.

    Attributes:
        index: the M candidates among the P proposals, shape (M,).
        rank_weights: weight of each candidate at each of the beta ranks, in [0, 1], shape (M, beta).
    """

    index: Tensor
    rank_weights: Tensor


def fade(values: Tensor, num_kept: int) -> Tensor:
    """Return factors in [0, 1] that cut a list to its largest values continuously.

    f_i = max(0, 1 - t / v_i), where t is the (num_kept + 1)-th largest value, 0 if there are fewer. Order statistics are
    continuous, so f is continuous in all values. It is 0 for values below the cut and near 1 for values far above it.

    Args:
        values: at least 0, shape (P,).
        num_kept: number of values that may have a positive factor.
    """
    if len(values) <= num_kept:
        return torch.ones_like(values)
    threshold = values.topk(num_kept + 1).values[-1]
    return (1 - threshold / values.clamp(min=torch.finfo(values.dtype).tiny)).clamp(min=0)


@TASK_UTILS.register_module()
class SoftRoISelector:
    r"""Weight the boxes of a slice by lesion probability and distribute them over ranks, without any threshold.

    :class:`TopRoISelector` returns a list: a box is in it or not, and is third or fourth. If two scores nearly tie, rounding
    decides, and the class of the slice may change. Here, every such discontinuous step has a continuous counterpart.
    With the lesion logits :math:`\ell_i` and probabilities :math:`p_i` of P boxes:

    * *Cut of the proposals* (the best P by objectness :math:`o_i`): a box has the score :math:`s_i = q_i p_i` with
      :math:`q_i = 1 - o_P / o_i`, 0 at the cut, see :func:`fade`. The RPN must not suppress overlapping proposals:
      ``nms=dict(iou_threshold=1.0)``.
    * *Boxes without area* are dropped: :math:`q_i` is multiplied by :math:`\min(1, area_i)`, the area in square pixels.
    * *Suppression* (IoU above 0.25 with a better box): overlapping boxes share one vote,
      :math:`m_i = u_i / \sum_j g_{ij} u_j` with :math:`u_i = (s_i / (1 - s_i))^\alpha` and
      :math:`g_{ij} = \min(1, IoU_{ij} / 2t)`, a ramp centred at the threshold t. A clear winner has
      :math:`m \approx 1`, the boxes that it overlaps have :math:`m \approx 0`, and two equal boxes have 1/2 each.
    * *No score threshold*, so that arbitrary boxes fill the list of a healthy slice: the weight of a box is
      :math:`a_i = s_i m_i`. Without a lesion all weights are small, and the classifier's bias determines the class.
    * *Ranks*: the rank of a box is the expected number of lesions above it that it does not overlap,
      :math:`r_i = \sum_j (1 - g_{ij}) a_j u_j / (u_i + u_j)`. Rank k takes :math:`a_{ik} = a_i \max(0, 1 - |r_i - k|)` of it,
      so a box between two ranks is shared between them, two boxes that swap places have equal ranks as they do, and
      boxes beyond the last rank have weight 0. Ranks that no box reaches stay empty; no list is stretched.
    * *The M candidates* whose mask features are computed are the largest by :math:`c_i = \sum_k a_{ik}`, each multiplied by
      its :func:`fade`.

    All of these are sums, products and quotients with positive denominators, exponentials, minima and order statistics of
    (objectness, logits, boxes), hence continuous, and so is z = sum_ik a_ik (W v)_k X_i, which depends on no order. Nor is
    it steep: a change of one logit by e moves :math:`a_i` by about :math:`\alpha e` at most. For a lesion logit, because
    :math:`|\partial \log u_j / \partial \ell_j| \le \alpha`. For an objectness, whose :math:`\log u_j` is steep near the cut,
    because j then has at most the share :math:`(s_j / s_i)^\alpha` in the vote of i. Discontinuities remain in the
    most likely class of a box, with several lesion classes, and in the lists of further feature levels.

    Args:
        num_rois: beta, the number of ranks.
        num_candidates: M; None means 2 beta.
        nms_iou: t, the IoU at which two boxes count as half the same.
        sharpness: alpha, how strongly the better of two overlapping boxes prevails. With 16, a box whose logit is higher by
            0.1 has five times the vote. Dozens of boxes find each lesion; with a low alpha, so many share its vote that the
            M candidates do not contain most of it.

    Raises:
        ValueError: if a number is not positive, ``nms_iou`` is not in (0, 0.5], or there are fewer candidates than ranks.
    """

    def __init__(
        self, num_rois: int = 8, num_candidates: int | None = None, nms_iou: float = 0.25, sharpness: float = 16.0
    ) -> None:
        if num_rois < 1:
            raise ValueError(f'num_rois must be at least 1, not {num_rois}')
        if not 0 < nms_iou <= 0.5:
            raise ValueError(f'nms_iou of SoftRoISelector must be in (0, 0.5], not {nms_iou}')
        if not sharpness > 0:
            raise ValueError(f'sharpness must be positive, not {sharpness}')
        self.num_rois = num_rois
        self.num_candidates = 2 * num_rois if num_candidates is None else num_candidates
        if self.num_candidates < num_rois:
            raise ValueError(f'num_candidates must be at least the {num_rois} ranks, not {self.num_candidates}')
        self.nms_iou = nms_iou
        self.sharpness = sharpness

    def __call__(self, boxes: Tensor, logits: Tensor, objectness: Tensor) -> WeightedCandidates:
        """Weight the boxes of one slice.

        Args:
            boxes: decoded and clipped boxes, x1 y1 x2 y2 in pixels, one per proposal, shape (P, 4).
            logits: log-odds of being a lesion, shape (P,).
            objectness: the proposals' RPN probabilities, shape (P,); the lowest is the cut of the RPN's list.

        Raises:
            ValueError: if there is no proposal.
        """
        if not len(boxes):
            raise ValueError('there is no box to weight')
        # The symbols of the class's docstring: q_i, log u_i, g_ij, m_i, a_i, r_i, a_ik.
        quality = fade(objectness, len(objectness) - 1)
        quality = quality * ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(max=1)
        # log(s / (1 - s)) for s = q p = q e^l / (1 + e^l), without the rounding of p near 1.
        log_votes = self.sharpness * (quality.log() + logits - F.softplus(logits + (1 - quality).log()))
        same = (bbox_overlaps(boxes, boxes) / (2 * self.nms_iou)).clamp(max=1)
        same.fill_diagonal_(1)
        # Relative to the box's own vote, because exponentials of large logits would overflow.
        better = log_votes[None] - log_votes[:, None]
        better = better.nan_to_num(0.0)  # two boxes without any vote
        share = 1 / (same * better.clamp(max=80).exp()).sum(1)
        weights = quality * logits.sigmoid() * share
        rank = ((1 - same) * weights * better.sigmoid()).sum(1)
        places = torch.arange(self.num_rois, dtype=rank.dtype, device=rank.device)
        rank_weights = weights[:, None] * (1 - (rank[:, None] - places).abs()).clamp(min=0)

        total = rank_weights.sum(1)
        rank_weights = rank_weights * fade(total, self.num_candidates)[:, None]
        index = total.sort(descending=True, stable=True).indices[: self.num_candidates]
        rank_weights = rank_weights[index]
        # A short list is padded with its last candidate, without weight.
        missing = self.num_candidates - len(index)
        index = torch.cat([index, index[-1:].expand(missing)])
        return WeightedCandidates(index, F.pad(rank_weights, (0, 0, 0, missing)))
