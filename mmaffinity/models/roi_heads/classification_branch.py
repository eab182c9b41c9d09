"""The branch that finds the RoIs used to classify a slice."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import InstanceList
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmaffinity.models.task_modules import SoftRoISelector
from mmaffinity.structures import RankedRoIs


class ClassificationBranch(BaseModule):
    """Box head and mask feature head that are never trained: their weights are copied from the segmentation branch.

    Gradients of the classification loss pass through the mask features to the backbone, but the parameters of this branch
    receive none.

    Args:
        bbox_head: config of the box head, the same as the segmentation branch's.
        mask_head: config of a :class:`MaskFeatureHead`, or None if the slice head reads no mask features.
        selector: config of the RoI selection, see :class:`TopRoISelector` and :class:`SoftRoISelector`.
        slice_roi: whether the whole slice follows the ranked RoIs as one more.
        box_gradients: whether gradients also pass through scores and box deltas, for slice heads that use them.
    """

    def __init__(
        self, bbox_head: dict, mask_head: dict | None, selector: dict, slice_roi: bool = False, box_gradients: bool = False
    ) -> None:
        super().__init__()
        self.slice_roi = slice_roi
        self.box_gradients = box_gradients
        self.bbox_head = MODELS.build(bbox_head)
        self.mask_head = None if mask_head is None else MODELS.build(mask_head)
        self.selector = TASK_UTILS.build(selector)
        self.requires_grad_(False)

    def forward(self, box_features: Tensor) -> tuple[Tensor, Tensor]:
        """Map box features of all proposals (R, C, S, S) to class scores (R, num_classes + 1) and box deltas.

        Selecting boxes is discrete and this head is frozen; without a graph, it needs a third of the memory. Only slice heads
        that read scores and deltas need gradients through them.
        """
        with torch.set_grad_enabled(self.box_gradients and torch.is_grad_enabled()):
            return self.bbox_head(box_features)

    def rank(self, box_outputs: tuple[Tensor, Tensor], proposals: InstanceList, img_metas: list[dict]) -> RankedRoIs:
        """Rank the RoIs of N slices; their mask features are not computed yet.

        Args:
            box_outputs: class scores and deltas of all proposals.
            proposals: RPN results of each slice by decreasing objectness: ``bboxes`` (P, 4) in pixels of the network's input
                and, for :class:`SoftRoISelector`, ``scores`` (P,), their probabilities.
            img_metas: meta information of each slice; 'img_shape' clips the boxes.

        Returns:
            The beta best RoIs of each slice, or its weighted candidates, and the whole slice if ``slice_roi``.
        """
        cls_scores, deltas = box_outputs
        counts = [len(result) for result in proposals]
        chosen = [self._select(*parts) for parts in zip(cls_scores.split(counts), deltas.split(counts), proposals, img_metas)]
        boxes, scores, deltas, *rank_weights = (torch.stack(values) for values in zip(*chosen))
        if self.slice_roi:
            whole = boxes.new_tensor([[[0, 0, *meta['img_shape'][1::-1]]] for meta in img_metas])
            boxes = torch.cat([boxes, whole], dim=1)
            scores, deltas = F.pad(scores, (0, 1), value=1), F.pad(deltas, (0, 0, 0, 1))
        return RankedRoIs(boxes, scores, deltas, None, *rank_weights)

    def _select(self, cls_score: Tensor, deltas: Tensor, proposals: InstanceData, img_meta: dict) -> tuple[Tensor, ...]:
        """Return boxes, scores and deltas of the RoIs of one slice and, if they are weighted candidates, their rank weights."""
        # With several lesion classes, the box of a proposal is that of its most likely class, and its score is the sum.
        probabilities = cls_score.softmax(-1)
        lesion = probabilities[:, :-1].argmax(1)
        scores = probabilities[:, :-1].sum(1)
        deltas = deltas.unflatten(1, (-1, 4))
        if deltas.shape[1] > 1:
            deltas = deltas[torch.arange(len(deltas), device=deltas.device), lesion]
        deltas = deltas.flatten(1)
        with torch.no_grad():
            decoded = self.bbox_head.bbox_coder.decode(proposals.bboxes, deltas, max_shape=img_meta['img_shape'])
            if isinstance(self.selector, SoftRoISelector):
                # From the logits, because the probability of all confident boxes is 1 in float32.
                logits = cls_score.to(decoded.dtype)
                logits = logits[:, :-1].logsumexp(1) - logits[:, -1]
                index, weights = self.selector(decoded, logits, proposals.scores.to(decoded.dtype))
                return decoded[index], scores[index], deltas[index], weights
            boxes, index = self.selector(decoded, scores, proposals.bboxes)
        return boxes, scores[index], deltas[index]

    @torch.no_grad()
    def copy_from(self, bbox_head: nn.Module, mask_head: nn.Module | None) -> None:
        """Copy the weights of the segmentation branch, bit for bit; the extra convolution is unchanged."""
        pairs = [(self.bbox_head, bbox_head)]
        if self.mask_head is not None and mask_head is not None:
            pairs.append((self.mask_head, mask_head))
        for target, source in pairs:
            weights = source.state_dict()
            for name, value in target.state_dict().items():
                if name in weights:
                    value.copy_(weights[name])

    def is_copy_of(self, bbox_head: nn.Module) -> bool:
        """Return whether a box head's weights equal those of this branch, as after :meth:`copy_from`.

        The comparison is by value, small tensors first: version counters do not register writes through ``.data``.
        """
        pairs = sorted(zip(self.bbox_head.parameters(), bbox_head.parameters()), key=lambda pair: pair[0].numel())
        return all(torch.equal(ours, theirs) for ours, theirs in pairs)
