# affinity_c8_from_scratch.py with the whole slice as one more RoI.
_base_ = './affinity_c8_from_scratch.py'
model = dict(roi_head=dict(cls_head=dict(slice_roi=True)))
load_from = 'work_dirs/affinity_c8_slice_roi_from_scratch.pth'
