"""Test-time augmentation: lesion predictions averaged over several views of a slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.detectors import MaskRCNN, TwoStageDetector
from mmdet.models.layers import multiclass_nms
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi, bbox_flip, scale_boxes
from mmdet.utils import InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from mmaffinity.structures import SliceDataSample


@dataclass(frozen=True)
class View:
    """A view of a batch of slices.

    Attributes:
        flip: whether the slices are mirrored left to right.
        shift: number of border pixels replicated on each side, in pixels of the network's input. This moves the slices relative
            to the feature grid.
    """

    flip: bool = False
    shift: int = 0

    def slices(self, x: Tensor) -> Tensor:
        """Return the view of slices (N, C, H, W), shape (N, C, H + 2 shift, W + 2 shift)."""
        return F.pad(x.flip(-1) if self.flip else x, [self.shift] * 4, mode='replicate')

    def boxes(self, boxes: Tensor, width: int) -> Tensor:
        """Map boxes x1 y1 x2 y2 in pixels, shape (..., 4), of slices of this width into the view."""
        return (bbox_flip(boxes, (0, width)) if self.flip else boxes) + self.shift

    def original_boxes(self, boxes: Tensor, width: int) -> Tensor:
        """Map boxes of the view, shape (..., 4), back."""
        boxes = boxes - self.shift
        return bbox_flip(boxes, (0, width)) if self.flip else boxes

    def original_masks(self, masks: Tensor) -> Tensor:
        """Map masks of boxes of the view, shape (R, K, S, S), back."""
        return masks.flip(-1) if self.flip else masks


def read_views(detector: TwoStageDetector) -> list[View]:
    """Return the views that ``test_cfg.views`` of a detector adds to the original.

    Each entry sets ``flip``, ``shift`` or both to True. A shift is half the stride of the finest features, so that the points
    of their grid fall halfway between those of the original.

    Raises:
        ValueError: if it is not a list of such views, or the RoI head is not supported.
    """
    entries, head = (detector.test_cfg or {}).get('views') or [], detector.roi_head
    overridden = [
        name
        for name in ('predict', 'predict_bbox', 'predict_mask')
        if getattr(type(head), name, None) is not getattr(StandardRoIHead, name)
    ]
    if entries and overridden:
        raise ValueError(
            f'views of test_cfg cannot be combined with {type(head).__name__}: cascades, PointRend and Mask Scoring R-CNN '
            'are not supported'
        )
    views = []
    for entry in entries if isinstance(entries, list) else [None]:
        if (
            not isinstance(entry, dict)
            or not entry
            or not entry.keys() <= {'flip', 'shift'}
            or any(value is not True for value in entry.values())
        ):
            raise ValueError(f'views of test_cfg must be a list such as [dict(flip=True), dict(shift=True)], not {entries!r}')
        stride = head.bbox_roi_extractor.featmap_strides[0]
        views.append(View('flip' in entry, stride // 2 if 'shift' in entry else 0))
    if len({View(), *views}) <= len(views):
        raise ValueError(f'views of test_cfg must differ from each other and from the original, not {entries!r}')
    return views


def predict_views(
    detector: TwoStageDetector,
    views: Sequence[View],
    batch_inputs: Tensor,
    x: tuple[Tensor, ...],
    proposals: InstanceList,
    data_samples: list[SliceDataSample],
    rescale: bool = True,
) -> InstanceList:
    """Detect lesions from the mean over the original and further views of each slice.

    The boxes proposed in the original are scored and refined in each view. Scores, boxes and, after suppression, mask logits
    are averaged. Backbone, neck and heads run once per view, the RPN only on the original.

    Args:
        detector: a detector whose RoI head predicts like :class:`StandardRoIHead`.
        views: views in addition to the original.
        batch_inputs: normalised slices, shape (N, 1 or 3, H, W).
        x: feature levels of the original slices, each (N, C, H', W').
        proposals: RPN results of each slice, boxes in pixels of ``batch_inputs``.
        data_samples: N samples.
        rescale: whether to return boxes and masks at the size of the original image.

    Returns:
        The instances of each slice, as from ``StandardRoIHead.predict``.
    """
    head = detector.roi_head
    metas = [sample.metainfo for sample in data_samples]
    features = [(View(), x), *((view, detector.extract_feat(view.slices(batch_inputs))) for view in views)]
    results = _mean_boxes(head, features, batch_inputs.shape[-2:], proposals, metas)
    if head.with_mask and any(map(len, results)):
        logits = _mean_mask_logits(head, features, batch_inputs.shape[-1], [result.bboxes for result in results])
        return head.mask_head.predict_by_feat(
            mask_preds=logits,
            results_list=results,
            batch_img_metas=metas,
            rcnn_test_cfg=head.test_cfg,
            rescale=rescale,
        )
    if head.with_mask:
        return head.predict_mask(x, metas, results, rescale=rescale)
    if rescale:
        for result, meta in zip(results, metas):
            result.bboxes = scale_boxes(result.bboxes, [1 / factor for factor in meta['scale_factor']])
    return results


def _mean_boxes(
    head: StandardRoIHead,
    features: list[tuple[View, tuple[Tensor, ...]]],
    size: Sequence[int],
    proposals: InstanceList,
    metas: list[dict],
) -> InstanceList:
    """Return the boxes of each slice after suppression, from the mean scores and boxes of all views."""
    height, width = size
    boxes: list[list[Tensor]] = [[] for _ in metas]  # of each slice, per view
    scores: list[list[Tensor]] = [[] for _ in metas]
    for view, levels in features:
        view_metas = [{**meta, 'img_shape': (height + 2 * view.shift, width + 2 * view.shift)} for meta in metas]
        rois = [InstanceData(bboxes=view.boxes(result.bboxes, width)) for result in proposals]
        # Without a config, MMDetection returns all boxes and scores, before suppression.
        for index, result in enumerate(head.predict_bbox(levels, view_metas, rois, rcnn_test_cfg=None)):
            boxes[index].append(view.original_boxes(result.bboxes.unflatten(-1, (-1, 4)), width))
            scores[index].append(result.scores)
    results, cfg = [], head.test_cfg
    for own_boxes, own_scores, meta in zip(boxes, scores, metas):
        mean = torch.stack(own_boxes).mean(0)
        slice_height, slice_width = meta['img_shape'][:2]
        mean = mean.clamp(min=0).minimum(mean.new_tensor([slice_width, slice_height] * 2))
        kept, labels = multiclass_nms(mean.flatten(1), torch.stack(own_scores).mean(0), cfg.score_thr, cfg.nms, cfg.max_per_img)
        results.append(InstanceData(bboxes=kept[:, :4], scores=kept[:, 4], labels=labels))
    return results


def _mean_mask_logits(
    head: StandardRoIHead, features: list[tuple[View, tuple[Tensor, ...]]], width: int, boxes: list[Tensor]
) -> tuple[Tensor, ...]:
    """Return the mask logits (n, K, S, S) of the boxes of each slice, the mean of all views."""
    total: Any = 0
    for view, levels in features:
        rois = bbox2roi([view.boxes(part, width) for part in boxes])
        total = total + view.original_masks(head._mask_forward(levels, rois)['mask_preds'])
    return (total / len(features)).split([len(part) for part in boxes])


@MODELS.register_module()
class TTAMaskRCNN(MaskRCNN):
    """A Mask R-CNN with test-time augmentation: it predicts from the mean of several views (see :func:`predict_views`).

    Args:
        args, kwargs: as for ``MaskRCNN``; ``test_cfg.views`` lists the views in addition to the original, for example
            ``[dict(flip=True), dict(shift=True)]`` (see :func:`read_views`).

    Raises:
        ValueError: if a view is invalid, or the RoI head does not support views.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.views = read_views(self)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[SliceDataSample], rescale: bool = True
    ) -> list[SliceDataSample]:
        """Detect lesions in N slices (N, 1 or 3, H, W); see ``MaskRCNN.predict``."""
        if not self.views:
            return super().predict(batch_inputs, batch_data_samples, rescale)
        x = self.extract_feat(batch_inputs)
        proposals = self.rpn_head.predict(x, batch_data_samples, rescale=False)
        instances = predict_views(self, self.views, batch_inputs, x, proposals, batch_data_samples, rescale)
        return self.add_pred_to_datasample(batch_data_samples, instances)
