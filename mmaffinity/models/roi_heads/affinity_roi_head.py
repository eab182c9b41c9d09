"""RoI head with two branches: one segments the lesions, the other classifies the slice."""

import copy
import inspect
from typing import Any

from mmdet.models.roi_heads import MaskScoringRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi, scale_boxes
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmaffinity.structures import RankedRoIs, SliceDataSample

from .classification_branch import ClassificationBranch


@MODELS.register_module()
class AffinityRoIHead(StandardRoIHead):
    """:class:`StandardRoIHead` (the segmentation branch) plus a classification branch and one slice head.

    Args:
        cls_head: config of the slice head, for example :class:`AffinityClsHead`.
        roi_selector: config of the RoI selection, :class:`TopRoISelector` or :class:`SoftRoISelector`; beta is the slice
            head's ``num_rois``.
        mask_feature_head: settings of the classification branch's mask head that differ from ``mask_head``, for example
            ``dict(extra_conv=True)`` or ``dict(type='PooledMaskFeatureHead')``.
        kwargs: as for :class:`StandardRoIHead`: ``bbox_head``, ``mask_head`` and their RoI extractors, ``train_cfg``,
            ``test_cfg``.

    Raises:
        ValueError: if the slice head reads mask features and there is no mask head, if the selector returns weighted RoIs,
            which the slice head does not support, or if a part of the detector is not supported (docs/mmdet.md).
    """

    def __init__(
        self,
        cls_head: ConfigType,
        roi_selector: ConfigType | None = None,
        mask_feature_head: ConfigType | None = None,
        **kwargs: Any,
    ) -> None:
        self._check_arguments(kwargs)
        super().__init__(**kwargs)
        self._check_heads()
        self.cls_head = MODELS.build(cls_head)
        mask_head = None
        if self.cls_head.reads_mask_features:
            if kwargs.get('mask_head') is None:
                raise ValueError(f'{type(self.cls_head).__name__} reads mask features; give the RoI head a mask_head')
            # The mask head may be a subclass with further arguments, such as soft_targets.
            shared = {name: value for name, value in kwargs['mask_head'].items() if name in _arguments(FCNMaskHead)}
            mask_head = {**copy.deepcopy(shared), 'type': 'MaskFeatureHead', **(mask_feature_head or {})}
        selector = {'type': 'TopRoISelector', **(roi_selector or {}), 'num_rois': self.cls_head.num_rois}
        if selector['type'] == 'SoftRoISelector' and not self.cls_head.reads_rank_weights:
            raise ValueError(f'{type(self.cls_head).__name__} reads a list of ranked RoIs; SoftRoISelector gives weighted ones')
        self.classification_branch = ClassificationBranch(
            copy.deepcopy(kwargs['bbox_head']),
            mask_head,
            selector,
            self.cls_head.with_slice_roi,
            self.cls_head.trains_through_boxes,
        )
        if mask_head is not None:
            self._check_copy(self.classification_branch.mask_head, self.mask_head)

    def _check_arguments(self, arguments: dict[str, Any]) -> None:
        """Reject arguments of other RoI heads, such as those of a cascade."""
        known = set().union(*map(_arguments, type(self).__mro__))
        if unknown := [name for name in arguments if name not in known]:
            raise ValueError(
                f'{type(self).__name__} takes no {", ".join(unknown)}: it has one box head and one mask head, like the RoI '
                'head of mmdet::_base_/models/mask-rcnn_r50_fpn.py. Cascades and PointRend are not supported; for Mask Scoring '
                'R-CNN (mask_iou_head), use AffinityMaskScoringRoIHead'
            )

    def _check_heads(self) -> None:
        """Reject parts that the classification branch cannot use."""
        name, box_head = type(self).__name__, getattr(self, 'bbox_head', None)
        if self.with_shared_head:
            raise ValueError(f'{name} supports no shared_head: use a detector with a neck, such as FPN, instead of a C4 model')
        plain = isinstance(box_head, BBoxHead) and all(getattr(box_head, part, False) for part in ('with_cls', 'with_reg'))
        if not plain or box_head.custom_cls_channels:
            raise ValueError(
                f'{name} does not support this {type(box_head).__name__} as bbox_head: it needs softmax scores of the classes '
                'and the background (not SeesawLoss) and four deltas per box (not SABLHead), as from Shared2FCBBoxHead'
            )
        for part in ('mask_head', 'mask_iou_head'):
            head = getattr(self, part, None)
            classes = getattr(head, 'num_classes', None)
            if classes not in (None, box_head.num_classes) and not getattr(head, 'class_agnostic', False):
                raise ValueError(
                    f'num_classes of bbox_head is {box_head.num_classes}, but that of {part} is {classes}: both are the number '
                    'of lesion classes (that of cls_head is the number of slice classes)'
                )

    @staticmethod
    def _check_copy(branch: nn.Module, mask_head: nn.Module) -> None:
        """Reject a mask head whose weights cannot be copied into the classification branch."""
        theirs = mask_head.state_dict()
        for name, value in branch.state_dict().items():
            if not name.startswith('extra_conv.') and (name not in theirs or theirs[name].shape != value.shape):
                raise ValueError(
                    f'the classification branch cannot copy {name} from a {type(mask_head).__name__}: the mask head must have '
                    "the layers of an FCNMaskHead with upsample_cfg=dict(type='deconv')"
                )

    def init_weights(self) -> None:
        """Initialise both branches, the classification branch as a copy of the segmentation branch."""
        super().init_weights()
        self.copy_branch()

    def copy_branch(self) -> None:
        """Copy the weights of the segmentation branch into the classification branch."""
        self.classification_branch.copy_from(self.bbox_head, self.mask_head if self.with_mask else None)

    def extract_boxes(self, x: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """Return the features of R RoIs (R, 5) for the box heads, shape (R, C, S, S)."""
        return self.bbox_roi_extractor(x[: self.bbox_roi_extractor.num_inputs], rois)

    def rank_rois(
        self,
        x: tuple[Tensor, ...],
        proposals: InstanceList,
        img_metas: list[dict],
        box_outputs: tuple[Tensor, Tensor] | None = None,
    ) -> RankedRoIs:
        """Return the RoIs used to classify each slice (paper, Section 3): its best boxes and their mask features.

        Args:
            x: feature levels, each (N, C, H, W).
            proposals: RPN results of each slice.
            img_metas: meta information of each slice.
            box_outputs: class scores and deltas of the classification branch for all proposals, if already computed.
        """
        branch = self.classification_branch
        if box_outputs is None:
            levels = tuple(x) if branch.box_gradients else tuple(level.detach() for level in x)
            box_outputs = branch(self.extract_boxes(levels, bbox2roi([result.bboxes for result in proposals])))
        rois = branch.rank(box_outputs, proposals, img_metas)
        if branch.mask_head is not None:
            features = self.mask_roi_extractor(x[: self.mask_roi_extractor.num_inputs], bbox2roi(list(rois.boxes)))
            rois.mask_features = branch.mask_head(features).unflatten(0, (len(proposals), -1))
        return rois

    def forward(
        self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: list[SliceDataSample] | None = None
    ) -> tuple:
        """Return the raw outputs of both branches: those of :class:`StandardRoIHead`, then the slice logits (N, K)."""
        detections = super().forward(x, rpn_results_list, batch_data_samples)
        metas = [sample.metainfo for sample in batch_data_samples or ()]
        return *detections, self.cls_head(self.rank_rois(x, rpn_results_list, metas))['logits']

    def loss_slice(
        self, x: tuple[Tensor, ...], proposals: InstanceList, data_samples: list[SliceDataSample]
    ) -> dict[str, Tensor]:
        """Compute the losses of the classification stage.

        Args:
            x: feature levels, each (N, C, H, W).
            proposals: RPN results of each slice.
            data_samples: samples with ``gt_slice.label``.
        """
        rois = self.rank_rois(x, proposals, [sample.metainfo for sample in data_samples])
        return self.cls_head.loss(rois, data_samples)

    def predict_slice(
        self, x: tuple[Tensor, ...], proposals: InstanceList, data_samples: list[SliceDataSample], rescale: bool = True
    ) -> list[BaseDataElement]:
        """Classify N slices.

        Args:
            x, proposals, data_samples: as in :meth:`loss_slice`; no label is needed.
            rescale: whether to return RoIs in pixels of the original image instead of the network's input.

        Returns:
            One ``pred_slice`` per slice, see :class:`SliceDataSample`.
        """
        metas = [sample.metainfo for sample in data_samples]
        return self.classify(self.rank_rois(x, proposals, metas), metas, rescale)

    def predict_both(
        self, x: tuple[Tensor, ...], proposals: InstanceList, data_samples: list[SliceDataSample], rescale: bool = True
    ) -> tuple[InstanceList, list[BaseDataElement]]:
        """Detect lesions and classify slices, with the results of :meth:`predict` and :meth:`predict_slice`."""
        slices = self.predict_slice(x, proposals, data_samples, rescale)
        return self.predict(x, proposals, data_samples, rescale), slices

    def classify(self, rois: RankedRoIs, metas: list[dict], rescale: bool) -> list[BaseDataElement]:
        """Classify slices from their RoIs, whose boxes are returned in pixels of the original image if ``rescale``."""
        predictions = self.cls_head.predict(rois)
        if rescale:
            for prediction, meta in zip(predictions, metas):
                prediction.roi_boxes = scale_boxes(prediction.roi_boxes, [1 / s for s in meta['scale_factor']])
        return predictions

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # Weights of a model with one branch, a Mask R-CNN, are loaded into both branches.
        branch = f'{prefix}classification_branch.'
        if not any(name.startswith(branch) for name in state_dict):
            heads = (f'{prefix}bbox_head.', f'{prefix}mask_head.')
            own = [name[len(prefix) :] for name in state_dict if name.startswith(heads)]
            wanted = self.classification_branch.state_dict()
            state_dict.update({branch + name: state_dict[prefix + name] for name in own if name in wanted})
        super()._load_from_state_dict(state_dict, prefix, *args)


@MODELS.register_module()
class AffinityMaskScoringRoIHead(AffinityRoIHead, MaskScoringRoIHead):
    """:class:`AffinityRoIHead` for Mask Scoring R-CNN: the score of each lesion is multiplied by the predicted IoU of its mask.

    Args:
        kwargs: as for :class:`AffinityRoIHead`, and ``mask_iou_head``, which does not affect the ranking of RoIs.
    """


def _arguments(kind: type) -> set[str]:
    return set(inspect.signature(kind.__init__).parameters)
