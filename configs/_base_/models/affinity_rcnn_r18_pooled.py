# The affinity model with pooled mask features, for training from scratch on slices of 256 x 256.
_base_ = ['./affinity_rcnn_r18_from_scratch.py', './pooled_head.py']
model = {{_base_.pooled_head}}
