# Overrides with which leaf configs train a model from scratch on a few thousand slices of 256 x 256:
#     model = {{_base_.from_scratch}}
# The feature map has half the stride, 8 pixels: as many cells across the body as the paper's 512 x 512 slices have at 16,
# without the cost of upsampling slices that have no finer detail. Anchors cover lesion sizes of 5 to 100 pixels. A box counts
# as a lesion from an IoU of 0.5 (paper: 0.75, which few boxes reach early on), and boxes have a larger loss weight. At most
# 32 RoIs per slice train the mask head (paper: 192), which would otherwise take most of a step's time. Lesions are connected
# components and do not overlap, so of two boxes with an IoU above 0.2, the one with the lower score is dropped (paper: 0.5).
from_scratch = dict(
    # Data sets that mix scanners and windows have no common mean. This setting also needs no statistics.
    data_preprocessor=dict(normalization='slice', statistics=None),
    backbone=dict(init_cfg=None, strides=(1, 2, 1)),
    rpn_head=dict(
        anchor_generator=dict(strides=[8], scales=[7, 14, 24, 42, 72], ratios=[0.5, 0.75, 1.0, 1.5, 2.2, 3.5]),
        loss_bbox=dict(loss_weight=5.0),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[8]),
        mask_roi_extractor=dict(featmap_strides=[8]),
        bbox_head=dict(loss_bbox=dict(loss_weight=2.0)),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(pos_iou_thr=0.5)),
        rcnn=dict(assigner=dict(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5), sampler=dict(num=128, pos_fraction=0.25)),
    ),
    test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.2))),
)
