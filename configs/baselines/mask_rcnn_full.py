# Table 3: Mask R-CNN with all weights trained.
_base_ = [
    '../_base_/models/mask_rcnn_r18.py',
    '../_base_/datasets/cncb_ncov_lesions.py',
    '../_base_/schedules/lesions_630e.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=10))
