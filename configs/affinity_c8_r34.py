_base_ = './affinity_c8.py'
model = dict(backbone=dict(depth=34, init_cfg=dict(checkpoint='https://download.pytorch.org/models/resnet34-b627a593.pth')))
