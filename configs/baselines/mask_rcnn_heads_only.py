# Table 3: Mask R-CNN whose backbone keeps its ImageNet weights; the FPN layer above it, which has none, trains.
_base_ = './mask_rcnn_full.py'
model = dict(backbone=dict(frozen_stages=3, norm_eval=True))
