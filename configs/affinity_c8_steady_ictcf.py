_base_ = [
    '_base_/models/affinity_rcnn_r18_steady.py',
    '_base_/datasets/ictcf.py',
    '_base_/schedules/finetune_head_10e.py',
    '_base_/default_runtime.py',
]
model = dict(
    backbone=dict(init_cfg=None),
    frozen_parts=['backbone', 'neck', 'roi_head.cls_head.refinement', 'roi_head.cls_head.vectorization'],
    roi_head=dict(cls_head=dict(num_affinities=8, num_classes=2)),
)
load_from = 'work_dirs/affinity_c8_steady/epoch_100.pth'
# `load_from` provides all weights except those of the classifier's final layer.
default_hooks = dict(checkpoint_guard=dict(new_layers=['roi_head.cls_head.classifier.4']))
