# The affinity model with the steady slice head.
_base_ = ['./affinity_rcnn_r18.py', './steady_head.py']
model = {{_base_.steady_head}}
