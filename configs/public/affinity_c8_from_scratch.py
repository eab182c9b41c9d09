# The affinity model, C* = 8, for few patients and without ImageNet weights. Its detector is that of mask_rcnn_folders.py, its
# slice head that of roi_head_c8_folders.py; this config stores the RoIs, and tests and predicts with both joined. `mmaffinity
# train` continues with both stages in turn, with small steps.
_base_ = [
    '../_base_/models/affinity_rcnn_r18_pooled.py',
    '../_base_/datasets/folders.py',
    '../_base_/schedules/from_scratch_joint.py',
    '../_base_/default_runtime.py',
]
image_size = (256, 256)
model = dict(roi_head=dict(cls_head=dict(num_affinities=8, num_classes=2)))
train_dataloader = dict(batch_size=2)
val_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=4)
load_from = 'work_dirs/affinity_c8_from_scratch.pth'
