# Table 3: Mask R-CNN with a backbone frozen at ImageNet weights. The FPN has no such weights and is trained.
_base_ = './mask_rcnn_full.py'
model = dict(backbone=dict(frozen_stages=3, norm_eval=True))
