"""RoI head with two branches: one segments the lesions, the other classifies the slice."""
import copy
from typing import Any

from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi, scale_boxes
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import BaseDataElement
from torch import Tensor

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
            ``dict(extra_conv=True)``.
        kwargs: as for :class:`StandardRoIHead`: ``bbox_head``, ``mask_head`` and their RoI extractors, ``train_cfg``,
            ``test_cfg``.

    Raises:
        ValueError: if the slice head reads mask features and there is no mask head, or if the selector returns weighted RoIs,
            which the slice head does not support.
    """

    def __init__(self, cls_head: ConfigType, roi_selector: ConfigType | None = None,
                 mask_feature_head: ConfigType | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cls_head = MODELS.build(cls_head)
        mask_head = None
        if self.cls_head.reads_mask_features:
            if kwargs.get('mask_head') is None:
                raise ValueError(f'{type(self.cls_head).__name__} reads mask features; give the RoI head a mask_head')
            mask_head = {**copy.deepcopy(kwargs['mask_head']), 'type': 'MaskFeatureHead', **(mask_feature_head or {})}
            mask_head.pop('soft_targets', None)
        selector = {'type': 'TopRoISelector', **(roi_selector or {}), 'num_rois': self.cls_head.num_rois}
        if selector['type'] == 'SoftRoISelector' and not self.cls_head.reads_rank_weights:
            raise ValueError(f'{type(self.cls_head).__name__} reads a list of ranked RoIs; SoftRoISelector gives weighted ones')
        self.classification_branch = ClassificationBranch(copy.deepcopy(kwargs['bbox_head']), mask_head, selector,
                                                          self.cls_head.trains_through_boxes)

    def init_weights(self) -> None:
        """Initialise both branches, the classification branch as a copy of the segmentation branch."""
        super().init_weights()
        self.copy_branch()

    def copy_branch(self) -> None:
        """Copy the weights of the segmentation branch into the classification branch."""
        self.classification_branch.copy_from(self.bbox_head, self.mask_head if self.with_mask else None)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # Weights of a model with one branch, a Mask R-CNN, are loaded into both branches.
        branch = f'{prefix}classification_branch.'
        if not any(name.startswith(branch) for name in state_dict):
            heads = (f'{prefix}bbox_head.', f'{prefix}mask_head.')
            own = [name[len(prefix):] for name in state_dict if name.startswith(heads)]
            wanted = self.classification_branch.state_dict()
            state_dict.update({branch + name: state_dict[prefix + name] for name in own if name in wanted})
        super()._load_from_state_dict(state_dict, prefix, *args)

    def rank_rois(self, x: tuple[Tensor, ...], proposals: InstanceList, img_metas: list[dict],
                  box_outputs: tuple[Tensor, Tensor] | None = None) -> RankedRoIs:
        """Return the RoIs used to classify each slice; arguments as in :class:`ClassificationBranch`."""
        return self.classification_branch(
            x, [result.bboxes for result in proposals], img_metas, self._extract_bbox,
            self._extract_mask if self.with_mask else None, box_outputs,
            [result.scores for result in proposals] if self.classification_branch.weighs_rois else None)

    def _extract_bbox(self, x: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        return self.bbox_roi_extractor(x[:self.bbox_roi_extractor.num_inputs], rois)

    def _extract_mask(self, x: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        return self.mask_roi_extractor(x[:self.mask_roi_extractor.num_inputs], rois)

    def loss_slice(self, x: tuple[Tensor, ...], proposals: InstanceList,
                   data_samples: list[SliceDataSample]) -> dict[str, Tensor]:
        """Compute the losses of the classification stage.

        Args:
            x: feature levels, each (N, C, H, W).
            proposals: RPN results of each slice.
            data_samples: samples with ``gt_slice.label``.
        """
        rois = self.rank_rois(x, proposals, [sample.metainfo for sample in data_samples])
        return self.cls_head.loss(rois, data_samples)

    def predict_slice(self, x: tuple[Tensor, ...], proposals: InstanceList, data_samples: list[SliceDataSample],
                      rescale: bool = True) -> list[BaseDataElement]:
        """Classify N slices.

        Args:
            x, proposals, data_samples: as in :meth:`loss_slice`; no label is needed.
            rescale: whether to return RoIs in pixels of the original image instead of the network's input.

        Returns:
            One ``pred_slice`` per slice, see :class:`SliceDataSample`.
        """
        metas = [sample.metainfo for sample in data_samples]
        return self._classify(self.rank_rois(x, proposals, metas), metas, rescale)

    def predict_both(self, x: tuple[Tensor, ...], proposals: InstanceList, data_samples: list[SliceDataSample],
                     rescale: bool = True) -> tuple[InstanceList, list[BaseDataElement]]:
        """Detect lesions and classify slices, with the results of :meth:`predict` and :meth:`predict_slice` at lower cost.

        The two branches read the same box features. If their box heads are equal, as they are after training, one pass serves
        both.
        """
        metas = [sample.metainfo for sample in data_samples]
        boxes = [result.bboxes for result in proposals]
        counts = [len(part) for part in boxes]
        rois = bbox2roi(boxes)
        features = self._extract_bbox(x, rois)
        outputs = self.bbox_head(features)
        same = self.classification_branch.is_copy_of(self.bbox_head)
        ranked = self.rank_rois(x, proposals, metas, outputs if same else self.classification_branch.bbox_head(features))
        slices = self._classify(ranked, metas, rescale)
        cls_scores, deltas = outputs
        instances = self.bbox_head.predict_by_feat(
            rois=rois.split(counts), cls_scores=cls_scores.split(counts), bbox_preds=deltas.split(counts),
            batch_img_metas=metas, rcnn_test_cfg=self.test_cfg, rescale=rescale and not self.with_mask)
        if self.with_mask:
            instances = self.predict_mask(x, metas, instances, rescale=rescale)
        return instances, slices

    def _classify(self, rois: RankedRoIs, metas: list[dict], rescale: bool) -> list[BaseDataElement]:
        predictions = self.cls_head.predict(rois)
        if rescale:
            for prediction, meta in zip(predictions, metas):
                prediction.roi_boxes = scale_boxes(prediction.roi_boxes, [1 / s for s in meta['scale_factor']])
        return predictions
