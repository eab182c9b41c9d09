# The slice head of affinity_c8_slice_roi_from_scratch.py on the stored RoIs of its detector.
_base_ = './roi_head_c8_folders.py'
model = dict(roi_head=dict(cls_head=dict(slice_roi=True)))
