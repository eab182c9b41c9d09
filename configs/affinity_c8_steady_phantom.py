_base_ = ['./affinity_c8_phantom.py', '_base_/models/steady_head.py']
model = {{_base_.steady_head}}
# Individually normalised RoI vectors, weighted by at most 1, need larger steps than vectors normalised over eight RoIs.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'roi_head.cls_head': dict(lr_mult=12)}))
