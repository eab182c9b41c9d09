_base_ = ['./affinity_c8_phantom.py', '_base_/models/steady_head.py']
model = {{_base_.steady_head}}
# Vectors of single RoIs, weighted by at most 1, ask for larger steps than those that are normalised over eight.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'roi_head.cls_head': dict(lr_mult=12)}))
