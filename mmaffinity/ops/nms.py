"""Greedy non-maximum suppression in plain torch, with the results of mmcv's compiled operation."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.registry import Registry
from mmengine.utils import deprecated_api_warning
from torch import Tensor

from .compiled import load_compiled

# Types allowed in ``nms=dict(type=...)`` of a config. The type is looked up here, never evaluated or imported.
SUPPRESSIONS = Registry('suppression', scope='mmaffinity')
# mmcv's other suppression functions, all compiled.
COMPILED_SUPPRESSIONS = ('soft_nms', 'nms_rotated', 'nms_quadri')
# Number of boxes processed at a time. Memory grows with this times the number of kept boxes, not with the square of all boxes.
BLOCK = 512


@SUPPRESSIONS.register_module()
@deprecated_api_warning({'iou_thr': 'iou_threshold'})
def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0, score_threshold: float = 0.0, max_num: int = -1
) -> tuple[Tensor, Tensor]:
    """Drop every box that overlaps a kept box with a higher score by more than a threshold.

    The results equal those of ``mmcv.ops.nms`` on CPUs, including boxes of zero, negative or undefined size, except that equal
    scores are ranked by index, whereas mmcv's order is arbitrary. float64 and half precision are also supported.

    This is greedy suppression without a loop over boxes. Let S[i, j] hold if box i ranks before box j and overlaps it by more
    than the threshold. The greedy result is the only solution of keep[j] = not any(keep[i] and S[i, j]), because S is strictly
    upper triangular: the equation determines keep[0], then keep[1] from keep[0], and so on. Iterating keep <- not (keep S)
    reaches it: if the first t entries are correct, the next iteration makes the first t + 1 correct, because entry t + 1
    depends only on those before it. A state that an iteration does not change solves the equation and is therefore the greedy
    result. The number of iterations is at most the length of the longest chain of boxes that determine one another, plus 2.

    Long lists are processed in blocks by decreasing score: boxes suppressed by kept boxes of earlier blocks are dropped first,
    exactly as in greedy suppression.

    Args:
        boxes: x1 y1 x2 y2, shape (N, 4).
        scores: shape (N,).
        iou_threshold: intersection over union above which a box is dropped.
        offset: 0, or 1 if x2 and y2 are the last pixel inside a box; added to widths and heights.
        score_threshold: if above 0, boxes with a score not above it are dropped first.
        max_num: maximum number of kept boxes; -1 for no limit.

    Returns:
        Kept boxes with their scores, shape (k, 5), by decreasing score, and their indices into the input, shape (k,).

    Raises:
        ValueError: if the shapes do not match, or ``offset`` is neither 0 nor 1.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise ValueError(f'nms takes boxes (N, 4) and scores (N,), not {tuple(boxes.shape)} and {tuple(scores.shape)}')
    if offset not in (0, 1):
        raise ValueError(f'offset must be 0 or 1, not {offset}')
    order = scores.detach().sort(descending=True, stable=True).indices
    if score_threshold > 0:
        order = order[scores[order] > score_threshold]
    kept = order[_greedy(boxes.detach()[order], iou_threshold, offset, max_num)]
    return torch.cat((boxes[kept], scores[kept, None]), 1), kept


def batched_nms(
    boxes: Tensor, scores: Tensor, idxs: Tensor, nms_cfg: dict[str, Any] | None, class_agnostic: bool = False
) -> tuple[Tensor, Tensor]:
    """Suppress boxes within each of several groups: classes or feature levels.

    As in ``mmcv.ops.batched_nms``, groups are shifted apart by more than the largest coordinate and suppressed together.
    The shift rounds the coordinates of higher groups slightly more coarsely; the returned boxes are the original ones.

    Args:
        boxes: x1 y1 x2 y2, shape (N, 4).
        scores: shape (N,).
        idxs: group of each box, shape (N,); boxes of different groups do not suppress each other.
        nms_cfg: ``type``, a name in :data:`SUPPRESSIONS` or a function, by default 'nms', and the arguments of that
            function; ``class_agnostic``; and ``split_thr``, the number of boxes (10000) from which groups are suppressed
            one after another. None only sorts.
        class_agnostic: ignore the groups; ``nms_cfg`` overrides it.

    Returns:
        Kept boxes with their scores, shape (k, 5), by decreasing score, and their indices into the input, shape (k,).

    Raises:
        ValueError: if ``type`` is unknown, or names an operation of mmcv that is not compiled here.
    """
    if nms_cfg is None:
        scores, order = scores.sort(descending=True, stable=True)
        return torch.cat((boxes[order], scores[:, None]), 1), order
    options = dict(nms_cfg)
    class_agnostic = options.pop('class_agnostic', class_agnostic)
    split = options.pop('split_thr', 10000)
    kind = options.pop('type', 'nms')
    if kind in COMPILED_SUPPRESSIONS and kind not in SUPPRESSIONS.module_dict:
        load_compiled(kind)
        return load_compiled('batched_nms')(boxes, scores, idxs, nms_cfg, class_agnostic)
    suppress = _find(kind)
    if not len(boxes):
        return torch.cat((boxes, scores[:, None]), 1), idxs.new_zeros(0, dtype=torch.long)
    moved = boxes if class_agnostic else boxes + (idxs.to(boxes) * (boxes.max() + 1))[:, None]
    if len(boxes) < split:
        found, kept = suppress(moved, scores, **options)
        return torch.cat((boxes[kept], found[:, -1:]), 1), kept
    max_num = options.pop('max_num', -1)
    parts = []
    for group in idxs.unique():
        members = (idxs == group).nonzero().squeeze(1)
        found, kept = suppress(moved[members], scores[members], **options)
        parts.append((members[kept], found[:, -1].to(scores.dtype)))
    kept, scores = (torch.cat(values) for values in zip(*parts))
    kept, order = kept.sort()  # by index, so that the sort by score leaves ties in that order
    scores, rank = scores[order].sort(descending=True, stable=True)
    limit = max_num if max_num > 0 else None
    kept, scores = kept[rank][:limit], scores[:limit]
    return torch.cat((boxes[kept], scores[:, None]), 1), kept


def _find(kind: str | Callable) -> Callable:
    if callable(kind):
        return kind
    found = SUPPRESSIONS.module_dict.get(kind)
    if found is None:
        raise ValueError(
            f'the nms type {kind!r} is unknown; choose from '
            f'{", ".join(map(repr, (*SUPPRESSIONS.module_dict, *COMPILED_SUPPRESSIONS)))}'
        )
    return found


@torch.no_grad()
def _greedy(boxes: Tensor, threshold: float, offset: int, max_num: int) -> Tensor:
    """Return the indices of the kept boxes; ``boxes`` are sorted by decreasing score."""
    # Contiguous vectors of coordinates: low and high corners, (2, N) each.
    low, high = boxes.to(torch.promote_types(boxes.dtype, torch.float32)).t().contiguous().split(2)
    width, height = high - low + offset
    area = width * height
    kept = torch.arange(0, device=boxes.device)
    for start in range(0, len(boxes), BLOCK):
        places = torch.arange(start, min(start + BLOCK, len(boxes)), device=boxes.device)
        if len(kept):
            sides = (low[:, kept], high[:, kept], area[kept]), (low[:, places], high[:, places], area[places])
            places = places[_overlap(*sides, threshold, offset).amax(0) == 0]
        block = low[:, places], high[:, places], area[places]
        kept = torch.cat((kept, places[_fixed_point(_overlap(block, block, threshold, offset).triu_(1))]))
        if 0 < max_num <= len(kept):
            break
    return kept[:max_num] if max_num > 0 else kept


def _fixed_point(suppresses: Tensor) -> Tensor:
    """Solve keep = not (keep S) for S of zeros and ones, stored as floats because their product is fast."""
    suppresses = suppresses.t()
    keep, new = suppresses.new_ones(2, len(suppresses))
    while True:
        torch.mv(suppresses, keep, out=new).eq_(0)  # with out=, autocast does not apply
        if torch.equal(new, keep):
            return keep.bool()
        keep, new = new, keep


def _overlap(first: tuple[Tensor, ...], second: tuple[Tensor, ...], threshold: float, offset: int) -> Tensor:
    """Return where IoUs are above the threshold, as 1 and 0, (M, N), for boxes as (low (2, M), high (2, M), area (M,))."""
    # The same order of terms as in mmcv, so that IoUs near the threshold fall on the same side of it.
    extent = torch.minimum(first[1][:, :, None], second[1][:, None])
    extent.sub_(torch.maximum(first[0][:, :, None], second[0][:, None]))
    if offset:
        extent.add_(offset)
    width, height = extent.clamp_(min=0)
    both = width.mul_(height)
    return both.div_(torch.add(first[2][:, None], second[2], out=height).sub_(both)).gt_(threshold)
