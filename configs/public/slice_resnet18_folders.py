# ResNet-18 as a plain slice classifier, trained from scratch on folders of slices, resized to 160 x 160.
_base_ = [
    '../_base_/models/slice_classifier_r18.py',
    '../_base_/datasets/class_folders.py',
    '../_base_/schedules/from_scratch_slices.py',
    '../_base_/default_runtime.py',
]
image_size = (160, 160)
model = dict(
    data_preprocessor=dict(normalization='slice', statistics=None), backbone=dict(init_cfg=None), cls_head=dict(num_classes=2)
)
