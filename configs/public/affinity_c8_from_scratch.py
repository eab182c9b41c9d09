# The affinity model, C* = 8, for few patients and without ImageNet weights: the detector of mask_rcnn_folders.py merged with
# the slice head of roi_head_c8_folders.py. Use this config to store the RoIs, and to test and predict with the merged model.
# `mmaffinity train` continues with alternating stages and small steps.
_base_ = [
    '../_base_/models/affinity_rcnn_r18_pooled.py',
    '../_base_/datasets/folders.py',
    '../_base_/schedules/from_scratch_joint.py',
    '../_base_/default_runtime.py',
]
image_size = (256, 256)
model = dict(roi_head=dict(cls_head=dict(num_affinities=8, num_classes=2)))
train_dataloader = dict(batch_size=4)
val_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=4)
load_from = 'work_dirs/affinity_c8_from_scratch.pth'
