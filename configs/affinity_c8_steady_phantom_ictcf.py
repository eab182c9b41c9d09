_base_ = ['./affinity_c8_phantom_ictcf.py', '_base_/models/steady_head.py']
model = {{_base_.steady_head}}
load_from = 'work_dirs/affinity_c8_steady_phantom/epoch_3.pth'
