_base_ = './affinity_c8_left_out.py'
model = dict(roi_head=dict(cls_head=dict(num_affinities=16)))
