# Mask R-CNN from scratch with strong augmentation, in eight epochs, to generalise better to other patients and scanners.
_base_ = './mask_rcnn_folders_augmented.py'
scale_range = (0.7, 1.6)
kernel_prob = 0.7
train_cfg = dict(max_epochs=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=8, convert_to_iter_based=True, eta_min_ratio=0.01),
]
load_from = None
