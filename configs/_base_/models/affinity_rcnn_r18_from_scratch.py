# The affinity model for training from scratch on slices of 256 x 256.
_base_ = ['./affinity_rcnn_r18.py', './from_scratch.py']
model = {{_base_.from_scratch}}
