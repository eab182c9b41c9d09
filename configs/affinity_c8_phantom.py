_base_ = [
    '_base_/models/affinity_rcnn_r18.py',
    '_base_/datasets/phantom_cncb_ncov.py',
    '_base_/schedules/phantom.py',
    '_base_/default_runtime.py',
]
# Trained from scratch in a few hundred steps: synthetic slices need no ImageNet weights, so nothing is downloaded. Boxes count
# as lesions at a lower IoU than the paper's, which few would reach in so few steps, and have a larger loss weight. The
# classifier starts with small logits, and its stage changes the backbone less than the segmentation stage.
model = dict(
    backbone=dict(init_cfg=None),
    rpn_head=dict(loss_bbox=dict(loss_weight=5.0)),
    roi_head=dict(
        bbox_head=dict(loss_bbox=dict(loss_weight=2.0)),
        cls_head=dict(
            num_affinities=8, classifier_std=0.05, loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.1)
        ),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(pos_iou_thr=0.5)), rcnn=dict(assigner=dict(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5))
    ),
)
