_base_ = ['./affinity_c8_phantom.py', '_base_/models/steady_head.py']
model = {{_base_.steady_head}}
