# Continues mask_rcnn_folders.py with augmentation.
_base_ = [
    '../_base_/models/mask_rcnn_r18.py',
    '../_base_/models/from_scratch.py',
    '../_base_/datasets/image_pairs_augmented.py',
    '../_base_/schedules/from_scratch_augmented.py',
    '../_base_/default_runtime.py',
]
model = {{_base_.from_scratch}}
load_from = 'work_dirs/mask_rcnn_folders/epoch_4.pth'
