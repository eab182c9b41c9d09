"""The whole model as one function of grayscale slices, which exports to standard operators."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn

from mmaffinity.models import AffinityRCNN, SingleLevelRoIExtractor, SoftRoISelector
from mmaffinity.ops import RoIAlign

from .boxes import BoxDecoder, ProposalLayer, Proposals, descending, take
from .heads import AffinityHead, MaskLogits, frozen
from .normalization import Normalization
from .operations import align_rois, best, kept_by_nms
from .selection import SoftSelection, TopSelection

LESION_OUTPUTS = ('boxes', 'scores', 'labels', 'masks', 'count')
SLICE_OUTPUTS = ('probabilities', 'logits', 'roi_boxes', 'roi_scores', 'roi_weights', 'X', 'Y', 'z')


class BoxBranch(NamedTuple):
    """Box head outputs for N slices: class logits (N, P, K + 1) and deltas (N, P, K, 4)."""

    scores: Tensor
    deltas: Tensor


class Aligner(nn.Module):
    """A RoI extractor for one feature level.

    Raises:
        ValueError: if the extractor's type is not supported, or it uses max pooling.
    """

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        layer = extractor.roi_layers[0]
        if (
            type(extractor) is not SingleLevelRoIExtractor
            or not isinstance(layer, RoIAlign)
            or layer.pool_mode != 'avg'
            or layer.output_size[0] != layer.output_size[1]
        ):
            raise ValueError(
                'only SingleLevelRoIExtractor with square average RoIAlign can be exported, not '
                f'{type(extractor).__name__} with {layer}'
            )
        self.size, self.scale = layer.output_size[0], layer.spatial_scale
        self.samples, self.aligned = layer.sampling_ratio, layer.aligned

    def forward(self, features: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
        """Extract features (R, C, S, S) of boxes (R, 4), given each box's image (R,)."""
        return align_rois(features, boxes, images, self.size, self.scale, self.samples, self.aligned)


class SliceGraph(nn.Module):
    """Map N slices to lesions and classes, like ``AffinityRCNN.predict`` before it pastes the masks.

    Args:
        model: the model; its weights are copied.
        height, width: size of the slices in pixels.

    Attributes:
        output_names: names of the outputs, in order.

    Raises:
        ValueError: if a part of the model cannot be exported; the message names it.
    """

    def __init__(self, model: AffinityRCNN, height: int, width: int) -> None:
        super().__init__()
        if type(model) is not AffinityRCNN:
            raise ValueError(f'a model of type {type(model).__name__} cannot be exported to ONNX, only AffinityRCNN')
        if model.views:
            raise ValueError('a model that averages views cannot be exported; set model.test_cfg.views=None')
        model = frozen(model)
        self.normalize, self.neck = Normalization(model.data_preprocessor), model.neck
        self.backbone = fuse_conv_bn(model.backbone)
        if hasattr(self.backbone, 'channels_last'):
            self.backbone.channels_last = False
        with torch.inference_mode():
            levels = self._features(torch.zeros(1, 1, height, width))
        if len(levels) != 1:
            raise ValueError(f'a model with {len(levels)} feature levels cannot be exported, only one level')
        head, test_cfg = model.roi_head, model.roi_head.test_cfg
        branch = head.classification_branch
        self.mode = model.mode
        self.rpn = ProposalLayer(model.rpn_head, height, width, tuple(levels[0].shape[-2:]))
        self.align_box = Aligner(head.bbox_roi_extractor)
        self.num_classes = head.bbox_head.num_classes
        self.bbox_head = head.bbox_head
        self.branch_bbox_head = None if branch.is_copy_of(head.bbox_head) else branch.bbox_head
        if head.bbox_head.reg_class_agnostic:
            raise ValueError('a box head with reg_class_agnostic=True cannot be exported')
        self.decode = BoxDecoder(head.bbox_head.bbox_coder, height, width)
        self.with_mask = head.with_mask and self.mode != 'classification'
        if head.with_mask:
            self.align_mask = Aligner(head.mask_roi_extractor)
        if self.mode != 'detection':
            soft = isinstance(branch.selector, SoftRoISelector)
            self.select = SoftSelection(branch.selector, self.rpn.num_kept) if soft else TopSelection(branch.selector)
            if branch.mask_head is None:
                raise ValueError(f'a slice head of type {type(head.cls_head).__name__} cannot be exported')
            self.cls_head = AffinityHead(
                branch.mask_head, head.cls_head, branch.selector.num_candidates if soft else branch.selector.num_rois
            )
            self.slice_roi = head.cls_head.with_slice_roi
            self.register_buffer('whole', torch.tensor([[[0.0, 0.0, width, height]]]))
        if self.mode != 'classification':
            nms = test_cfg.nms
            if nms.get('type', 'nms') != 'nms':
                raise ValueError(f'nms of type {nms.type!r} cannot be exported')
            self.score_thr, self.nms_iou = test_cfg.score_thr, nms.iou_threshold
            self.max_lesions = min(test_cfg.max_per_img, self.rpn.num_kept * self.num_classes)
            if self.with_mask:
                self.mask_head = MaskLogits(head.mask_head)
        names = (
            () if self.mode == 'classification' else tuple(name for name in LESION_OUTPUTS if name != 'masks' or self.with_mask)
        )
        self.output_names = (*names, *(() if self.mode == 'detection' else SLICE_OUTPUTS))

    def _features(self, slices: Tensor) -> tuple[Tensor, ...]:
        levels = self.backbone(self.normalize(slices))
        return levels if self.neck is None else self.neck(levels)

    def forward(self, slices: Tensor) -> tuple[Tensor, ...]:
        """Predict N slices.

        Args:
            slices: 8-bit grey levels (0 to 255) as float32, shape (N, 1, H, W).

        Returns:
            The outputs named in :attr:`output_names`; docs/deployment.md gives their shapes.
        """
        (features,) = self._features(slices)
        proposals = self.rpn(features)
        images = torch.arange(features.shape[0])[:, None]
        aligned = self.align_box(features, proposals.boxes.flatten(0, 1), _per_roi(images, proposals.boxes))
        outputs: tuple[Tensor, ...] = ()
        branch = self._box_branch(self.bbox_head, aligned, proposals)
        if self.mode != 'classification':
            outputs += self._lesions(features, images, proposals, branch)
        if self.mode != 'detection':
            if self.branch_bbox_head is not None:
                branch = self._box_branch(self.branch_bbox_head, aligned, proposals)
            outputs += self._slices(features, images, proposals, branch)
        return outputs

    def _box_branch(self, head: nn.Module, aligned: Tensor, proposals: Proposals) -> BoxBranch:
        scores, deltas = head(aligned)
        places = proposals.boxes.shape[1]
        return BoxBranch(scores.reshape(-1, places, self.num_classes + 1), deltas.reshape(-1, places, self.num_classes, 4))

    def _lesions(self, features: Tensor, images: Tensor, proposals: Proposals, branch: BoxBranch) -> tuple[Tensor, ...]:
        """Return the lesions' boxes, scores, labels, mask logits (if there is a mask head) and number."""
        scores = branch.scores.softmax(-1)[..., :-1]
        if proposals.valid is not None:
            scores = scores * proposals.valid[..., None]
        boxes = self.decode(proposals.boxes[:, :, None], branch.deltas)
        # NMS runs per class; results are ordered by box, then class, as in MMDetection.
        lists = scores.transpose(1, 2).flatten(0, 1)
        ranked, order = best(lists, lists.shape[1])
        priority = descending(ranked) * (ranked > self.score_thr)
        kept = kept_by_nms(take(boxes.transpose(1, 2).flatten(0, 1), order), priority, self.nms_iou, self.max_lesions)
        kept = torch.zeros_like(kept).scatter(1, order, kept).reshape(-1, self.num_classes, lists.shape[1])
        flat = (scores * kept.transpose(1, 2)).flatten(1)
        scores, index = best(flat, self.max_lesions)
        found = scores > 0
        boxes = take(boxes.flatten(1, 2), index) * found[..., None]
        labels, count = torch.where(found, index % self.num_classes, 0), found.sum(1)
        if not self.with_mask:
            return boxes, scores, labels, count
        places = found.flatten().nonzero().squeeze(1)
        aligned = self.align_mask(features, boxes.flatten(0, 1)[places], _per_roi(images, boxes)[places])
        logits = self.mask_head(aligned)
        if self.num_classes > 1:
            label = labels.flatten()[places][:, None, None, None].expand(-1, -1, *logits.shape[2:])
            logits = logits.gather(1, label)
        # Empty slots get a very low logit, so that thresholding at 0 leaves nothing there.
        masks = torch.full((1, *logits.shape[2:]), -100.0).expand(boxes.shape[0] * boxes.shape[1], -1, -1)
        masks = masks.index_copy(0, places, logits[:, 0]).reshape(-1, self.max_lesions, *logits.shape[2:])
        return boxes, scores, labels, masks, count

    def _slices(self, features: Tensor, images: Tensor, proposals: Proposals, branch: BoxBranch) -> tuple[Tensor, ...]:
        """Return the outputs named in SLICE_OUTPUTS."""
        probabilities = branch.scores.softmax(-1)
        scores, deltas = probabilities[..., :-1].sum(-1), branch.deltas[:, :, 0]
        if self.num_classes > 1:  # use the box of the most likely lesion class
            label = probabilities[..., :-1].argmax(-1)[:, :, None, None].expand(-1, -1, 1, 4)
            deltas = branch.deltas.gather(2, label)[:, :, 0]
        boxes = self.decode(proposals.boxes, deltas)
        values = scores
        if isinstance(self.select, SoftSelection):
            values = branch.scores[..., 0] if self.num_classes == 1 else branch.scores[..., :-1].logsumexp(-1)
            values = values - branch.scores[..., -1]
        chosen = self.select(boxes, values, proposals)
        boxes, scores = chosen.boxes, scores.gather(1, chosen.index)
        if self.slice_roi:
            boxes = torch.cat([boxes, self.whole.expand(boxes.shape[0], -1, -1)], 1)
            scores = F.pad(scores, (0, 1), value=1.0)
        aligned = self.align_mask(features, boxes.flatten(0, 1), _per_roi(images, boxes))
        outputs = self.cls_head(aligned, chosen.rank_weights)
        return (
            outputs.logits.sigmoid(),
            outputs.logits,
            boxes,
            scores,
            outputs.roi_weights,
            outputs.roi_features,
            outputs.affinity,
            outputs.features,
        )


def _per_roi(images: Tensor, boxes: Tensor) -> Tensor:
    """Return the image index of each of the boxes (N, P, 4), shape (N * P,)."""
    return images.expand(-1, boxes.shape[1]).flatten()
