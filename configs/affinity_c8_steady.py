_base_ = [
    '_base_/models/affinity_rcnn_r18_steady.py',
    '_base_/datasets/cncb_ncov.py',
    '_base_/schedules/alternating_100e.py',
    '_base_/default_runtime.py',
]
model = dict(roi_head=dict(cls_head=dict(num_affinities=8)))
