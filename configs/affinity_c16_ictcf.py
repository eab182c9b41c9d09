_base_ = './affinity_c8_ictcf.py'
model = dict(roi_head=dict(cls_head=dict(num_affinities=16)))
load_from = 'work_dirs/affinity_c16/epoch_100.pth'
