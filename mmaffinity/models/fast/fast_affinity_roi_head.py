"""A RoI head that runs the box head once for both branches."""

from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmaffinity.models.roi_heads import AffinityRoIHead
from mmaffinity.structures import SliceDataSample


@MODELS.register_module()
class FastAffinityRoIHead(AffinityRoIHead):
    """A faster :class:`AffinityRoIHead` with the same parameters and outputs.

    Both branches read the same box features. If their box heads are equal, as after training, one pass serves both.
    """

    def predict_both(
        self, x: tuple[Tensor, ...], proposals: InstanceList, data_samples: list[SliceDataSample], rescale: bool = True
    ) -> tuple[InstanceList, list[BaseDataElement]]:
        """Detect lesions and classify slices; see :meth:`AffinityRoIHead.predict_both`."""
        metas = [sample.metainfo for sample in data_samples]
        boxes = [result.bboxes for result in proposals]
        counts = [len(part) for part in boxes]
        rois = bbox2roi(boxes)
        features = self.extract_boxes(x, rois)
        outputs = self.bbox_head(features)
        same = self.classification_branch.is_copy_of(self.bbox_head)
        ranked = self.rank_rois(x, proposals, metas, outputs if same else self.classification_branch.bbox_head(features))
        slices = self.classify(ranked, metas, rescale)
        cls_scores, deltas = outputs
        instances = self.bbox_head.predict_by_feat(
            rois=rois.split(counts),
            cls_scores=cls_scores.split(counts),
            bbox_preds=deltas.split(counts),
            batch_img_metas=metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale and not self.with_mask,
        )
        if self.with_mask:
            instances = self.predict_mask(x, metas, instances, rescale=rescale)
        return instances, slices
