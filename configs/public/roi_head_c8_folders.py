# The slice head of affinity_c8_from_scratch.py on the stored RoIs of its detector.
_base_ = [
    '../_base_/models/roi_slice_classifier_pooled.py',
    '../_base_/datasets/stored_rois.py',
    '../_base_/schedules/from_scratch_head.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(cls_head=dict(num_affinities=8, num_classes=2)))
