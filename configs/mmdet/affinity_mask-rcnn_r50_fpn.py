# MMDetection's Mask R-CNN with five FPN levels, initialised from its COCO checkpoint, plus an affinity head that classifies
# colour images into two classes by their instances. Learning rate and epochs are not tuned.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/image_folders.py',
    '../_base_/schedules/alternating_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='AffinityRCNN',
    data_preprocessor=dict(pad_mask=False),  # labelled images have no masks to pad
    backbone=dict(init_cfg=None),
    roi_head=dict(
        type='AffinityRoIHead',
        bbox_head=dict(num_classes=1),
        mask_head=dict(num_classes=1),
        cls_head=dict(type='AffinityClsHead', num_classes=2, classifier_std=0.05, unit_roi_weights=True),
    ),
)
train_cfg = dict(max_epochs=12, val_interval=1)
load_from = 'https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_1x_coco/mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth'  # noqa: E501
# `load_from` provides all other weights; COCO has 80 classes.
default_hooks = dict(
    checkpoint_guard=dict(
        new_layers=[
            'roi_head.bbox_head.fc_cls',
            'roi_head.bbox_head.fc_reg',
            'roi_head.mask_head.conv_logits',
            'roi_head.cls_head',
            'roi_head.classification_branch',
        ]
    )
)
