# Mask R-CNN from scratch on lesions from folders of slices and masks of 256 x 256.
_base_ = [
    '../_base_/models/mask_rcnn_r18.py',
    '../_base_/models/from_scratch.py',
    '../_base_/datasets/image_pairs.py',
    '../_base_/schedules/from_scratch_lesions.py',
    '../_base_/default_runtime.py',
]
model = {{_base_.from_scratch}}
