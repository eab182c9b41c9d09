# Only the segmentation branch of the affinity model: a Mask R-CNN with the same backbone, anchors, heads and losses.
_base_ = './affinity_rcnn_r18.py'
model = dict(
    type='MaskRCNN',
    roi_head=dict(
        _delete_=True,
        type='StandardRoIHead',
        bbox_roi_extractor={{_base_.model.roi_head.bbox_roi_extractor}},
        bbox_head={{_base_.model.roi_head.bbox_head}},
        mask_roi_extractor={{_base_.model.roi_head.mask_roi_extractor}},
        mask_head={{_base_.model.roi_head.mask_head}},
    ),
)
