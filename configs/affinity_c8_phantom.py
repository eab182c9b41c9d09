_base_ = [
    '_base_/models/affinity_rcnn_r18.py', '_base_/datasets/phantom_cncb_ncov.py', '_base_/schedules/phantom.py',
    '_base_/default_runtime.py'
]
# Synthetic slices need no ImageNet weights, and nothing is downloaded for them.
model = dict(backbone=dict(init_cfg=None), roi_head=dict(cls_head=dict(num_affinities=8)))
