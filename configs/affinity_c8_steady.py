_base_ = ['./affinity_c8.py', '_base_/models/steady_head.py']
model = {{_base_.steady_head}}
