_base_ = './affinity_c8_ictcf.py'
model = dict(roi_head=dict(cls_head=dict(num_affinities=32)))
load_from = 'checkpoints/published_affinity_c32.pth'
