_base_ = './affinity_c8.py'
model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='https://download.pytorch.org/models/resnet50-11ad3fa6.pth')),
    neck=dict(in_channels=[1024]),
)
