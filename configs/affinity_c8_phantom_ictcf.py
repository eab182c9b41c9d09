_base_ = [
    '_base_/models/affinity_rcnn_r18.py',
    '_base_/datasets/phantom_ictcf.py',
    '_base_/schedules/finetune_10e.py',
    '_base_/default_runtime.py',
]
model = dict(backbone=dict(init_cfg=None), roi_head=dict(cls_head=dict(num_affinities=8, num_classes=2, classifier_std=0.05)))
load_from = 'work_dirs/affinity_c8_phantom/epoch_3.pth'
# `load_from` provides all weights except those of the classifier's final layer.
default_hooks = dict(checkpoint_guard=dict(new_layers=['roi_head.cls_head.classifier.4']))
# Few synthetic slices, hence larger steps and fewer epochs than in the paper.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(max_epochs=3)
