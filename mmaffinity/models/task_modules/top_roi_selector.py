"""Selection of the beta RoIs used to classify a slice."""

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from mmaffinity.ops import nms

STRETCHES = ('even', 'random')
TIES = ('index', 'unstable')


def stretch_indices(num_boxes: int, num_rois: int, stretch: str = 'even') -> Tensor:
    """Return which of n ranked boxes fill beta places, in order and starting with the best.

    Args:
        num_boxes: n, at least 1.
        num_rois: beta.
        stretch: 'even' repeats boxes as evenly as possible and is deterministic; 'random' draws the repeated boxes in every
            call, as the published code does.

    Returns:
        Increasing indices below n, shape (beta,): the first beta boxes if n >= beta, otherwise every box at least once.

    Raises:
        ValueError: if there is no box, or ``stretch`` is unknown.
    """
    if stretch not in STRETCHES:
        raise ValueError(f'stretch must be one of {STRETCHES}, not {stretch!r}')
    if num_boxes < 1:
        raise ValueError('there is no box to fill the places with')
    if num_boxes >= num_rois:
        return torch.arange(num_rois)
    if stretch == 'even':
        return torch.arange(num_rois) * num_boxes // num_rois
    extra = torch.randint(num_boxes, (num_rois - num_boxes,))
    return torch.cat([torch.arange(num_boxes), extra]).sort().values


@TASK_UTILS.register_module()
class TopRoISelector:
    """Select the beta best boxes of a slice without a score threshold.

    Boxes without area are dropped, overlapping ones are suppressed, and a list that is too short is stretched by repeating
    boxes. If no box is left, the best proposals are used instead, so every slice is classified.

    Args:
        num_rois: beta.
        nms_iou: boxes that overlap a better one by more than this IoU are dropped.
        min_area: boxes of at most this area, in square pixels of the network's input, are dropped.
        stretch: 'even' or 'random', see :func:`stretch_indices`.
        ties: how to rank boxes of equal score: by 'index', which is the same everywhere, or by torch's 'unstable' sort, whose
            order depends on the processor, as in the published code.

    Raises:
        ValueError: if ``num_rois`` is below 1, ``nms_iou`` is outside [0, 1], or ``stretch`` or ``ties`` is unknown.
    """

    def __init__(
        self, num_rois: int = 8, nms_iou: float = 0.25, min_area: float = 1e-5, stretch: str = 'even', ties: str = 'index'
    ) -> None:
        if num_rois < 1:
            raise ValueError(f'num_rois must be at least 1, not {num_rois}')
        if not 0 <= nms_iou <= 1:
            raise ValueError(f'nms_iou must be within [0, 1], not {nms_iou}')
        if stretch not in STRETCHES:
            raise ValueError(f'stretch must be one of {STRETCHES}, not {stretch!r}')
        if ties not in TIES:
            raise ValueError(f'ties must be one of {TIES}, not {ties!r}')
        self.num_rois = num_rois
        self.nms_iou = nms_iou
        self.min_area = min_area
        self.stretch = stretch
        self.ties = ties

    def __call__(self, boxes: Tensor, scores: Tensor, proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Select among the boxes of one slice.

        Args:
            boxes: decoded and clipped boxes, x1 y1 x2 y2 in pixels, one per proposal, shape (P, 4).
            scores: lesion probabilities, shape (P,).
            proposals: the boxes' proposals by decreasing objectness, shape (P, 4), P >= 1.

        Returns:
            The beta selected boxes, shape (beta, 4), and their indices into the input, shape (beta,).

        Raises:
            ValueError: if there is no proposal.
        """
        valid = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) > self.min_area).nonzero().squeeze(1)
        if len(valid):
            if self.ties == 'unstable':  # nms ranks equal scores by index, and so keeps this order
                valid = valid[scores[valid].sort(descending=True).indices]
            _, keep = nms(boxes[valid], scores[valid], self.nms_iou)
            chosen, source = valid[keep[: self.num_rois]], boxes
        else:
            chosen, source = torch.arange(len(proposals), device=boxes.device), proposals
        order = stretch_indices(len(chosen), self.num_rois, self.stretch).to(chosen.device)
        return source[chosen[order]], chosen[order]
