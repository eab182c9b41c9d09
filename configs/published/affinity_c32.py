_base_ = './affinity_c8.py'
model = dict(roi_head=dict(cls_head=dict(num_affinities=32)))
