# The affinity model, C* = 8, trained with the paper's recipe on lesions and labelled slices of two classes from folders.
_base_ = [
    '../_base_/models/affinity_rcnn_r18.py',
    '../_base_/datasets/folders.py',
    '../_base_/schedules/alternating_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(cls_head=dict(num_affinities=8, num_classes=2)))
