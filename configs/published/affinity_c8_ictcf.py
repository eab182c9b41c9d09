# Weights from `mmaffinity convert published`; see docs/published_models.md.
_base_ = [
    '../_base_/models/affinity_rcnn_r18_published.py',
    '../_base_/datasets/ictcf.py',
    '../_base_/schedules/finetune_10e.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(init_cfg=None), roi_head=dict(cls_head=dict(num_affinities=8, num_classes=2)))
# Fine-tuning starts from the converted model that was trained on CNCB-NCOV.
load_from = 'checkpoints/published_affinity_c8.pth'
# It provides all weights except those of the classifier's final layer.
default_hooks = dict(checkpoint_guard=dict(new_layers=['roi_head.cls_head.classifier.4']))
